-- Stores a secret, unless there is one. Returns the secret that is stored.
local key = KEYS[1]
local secret = ARGV[3]

let_in()
redis.call('SET', key, secret, 'NX')
return redis.call('GET', key)
