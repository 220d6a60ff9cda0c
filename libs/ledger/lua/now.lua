-- Redis' own clock, in milliseconds. In a script, so that a cluster asks the node that holds our keys.
-- KEYS[1] any key of ours.
return now_ms()
