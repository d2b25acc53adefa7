-- Sets right what was taken from a meter (see limits.lua).
-- KEYS[1]  the meter
-- ARGV     at (-1: nothing was more or less), change, place that is given back, place that is renewed, its seconds,
--          then name and seconds of every window that there may be
local SLOTS = 250
local raw = redis.call('GET', KEYS[1])
if not raw then
  -- Of places alone something is worth beginning anew: Redis may have forgotten them.
  if ARGV[4] == '' then return 0 end
  raw = cmsgpack.pack({ w = {}, p = {} })
end
local meter = cmsgpack.unpack(raw)
local at, change = tonumber(ARGV[1]), tonumber(ARGV[2])
if at >= 0 then
  for index = 6, #ARGV, 2 do
    local slots = meter.w[ARGV[index]]
    if slots then
      local number = math.floor(at / (tonumber(ARGV[index + 1]) / SLOTS))
      for slot = #slots - 1, 1, -2 do
        if slots[slot] == number then slots[slot + 1] = math.max(0, slots[slot + 1] + change) end
        if slots[slot] <= number then break end
      end
    end
  end
  if meter.t then meter.t = math.max(0, meter.t + change) end
end
if ARGV[3] ~= '' then meter.p[ARGV[3]] = nil end
local kept_ms = redis.call('PTTL', KEYS[1])
if ARGV[4] ~= '' then
  meter.p[ARGV[4]] = tonumber(redis.call('TIME')[1]) + tonumber(ARGV[5])
  kept_ms = math.max(kept_ms, tonumber(ARGV[5]) * 1000)
end
redis.call('SET', KEYS[1], cmsgpack.pack(meter), 'PX', math.max(1, kept_ms))
return 1
