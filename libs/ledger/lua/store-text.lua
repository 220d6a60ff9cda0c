-- Stores a piece of a large text of a job that is about to be accepted; it lapses unless accept takes it.
-- KEYS[1] text.  ARGV 3 offset, 4 bytes, 5 milliseconds that it is kept.  Returns 'ok' or 'full'. Sending the same again
-- is harmless.
if is_full(#ARGV[4]) then return 'full' end
redis.call('SETRANGE', KEYS[1], ARGV[3], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 'ok'
