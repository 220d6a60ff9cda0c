-- Returns Redis' own time, in milliseconds. A script, with a key of ours, so that a cluster asks the node that holds
-- our keys.
return now_ms()
