-- Keeps a secret, unless there is one already.
-- KEYS[1] the secret.  ARGV 3 what it is to be.  Returns what it is.
let_in()
redis.call('SET', KEYS[1], ARGV[3], 'NX')
return redis.call('GET', KEYS[1])
