package ratelimit

import "github.com/redis/go-redis/v9"

// The scripts count by the clock of Redis, in microseconds: the clocks of
// replicas differ. That clock may be set back, or be another's after a failover:
// what lies further ahead than a limit reaches is forgotten, or a spent limit
// would stay so for as long. A key lives as long as it says something.

// takePlace is GCRA. KEYS[1] holds the bucket's theoretical arrival time.
// ARGV: what one request costs, what may be spent at once, how long this request
// may wait, what may be spent at all. It returns whether the request passes, what
// all owe then, and how long this one has to wait.
var takePlace = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, free, patience, full = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
if tat - now > full + interval then
  tat = now
end
local debt = tat - now + interval
local delay = math.max(debt - free, 0)
if delay > patience then
  return {0, math.ceil(tat - now), 0}
end
redis.call('SET', KEYS[1], string.format('%.3f', tat + interval), 'PX', math.ceil(debt / 1000))
return {1, math.ceil(debt), math.ceil(delay)}
`)

// givePlace undoes takePlace. ARGV: what one request costs.
var givePlace = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local tat = tonumber(redis.call('GET', KEYS[1]) or now) - tonumber(ARGV[1])
if tat <= now then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], string.format('%.3f', tat), 'PX', math.ceil((tat - now) / 1000))
end
return {1}
`)

// takePart is the sliding window. KEYS[1] holds a count for each of its parts.
// ARGV: how many may pass, how long a part is, how many parts there are. It
// returns whether the request passes, how many more may, when the next passes,
// when all are back, and the part.
var takePart = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local most, length, parts = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local newest = math.floor(now / length)
local counts, spent = {}, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local part, count = tonumber(all[i]), tonumber(all[i + 1])
  if math.abs(newest - part) > parts then
    redis.call('HDEL', KEYS[1], all[i])
  elseif count > 0 then
    counts[#counts + 1] = {part, count}
    spent = spent + count
  end
end
table.sort(counts, function(a, b) return a[1] < b[1] end)
local passes = 0
if spent < most then
  passes, spent = 1, spent + 1
  redis.call('HINCRBY', KEYS[1], string.format('%d', newest), 1)
  redis.call('PEXPIRE', KEYS[1], math.ceil((parts + 1) * length / 1000))
  if #counts > 0 and counts[#counts][1] == newest then
    counts[#counts][2] = counts[#counts][2] + 1
  else
    counts[#counts + 1] = {newest, 1}
  end
end
local remaining, wait, full = math.max(most - spent, 0), 0, 0
for _, c in ipairs(counts) do
  full = (c[1] + parts + 1) * length - now
  if spent >= most then
    wait = full
  end
  spent = spent - c[2]
end
return {passes, remaining, math.ceil(wait), math.ceil(full), newest}
`)

// givePart undoes takePart. ARGV: the part.
var givePart = redis.NewScript(`
if tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) > 0 then
  redis.call('HINCRBY', KEYS[1], ARGV[1], -1)
end
return {1}
`)
