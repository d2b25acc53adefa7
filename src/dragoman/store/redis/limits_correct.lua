-- Sets right what was taken from a meter (see limits.lua).
-- KEYS[1]  the meter
-- ARGV[1]  packed: { { when it was taken, how much more or less it came to }, … },
--          { { place, how many are still held under that name }, … }, { { place that is renewed, how many }, … },
--          seconds of a place, { window = its seconds, … }
local SLOTS = 250
local changes, left, renewed, place_s, seconds = unpack(cmsgpack.unpack(ARGV[1]))
local raw = redis.call('GET', KEYS[1])
-- Of places alone something is worth beginning anew: Redis may have forgotten them.
if not raw and #renewed == 0 then return 0 end
local meter = raw and cmsgpack.unpack(raw) or { w = {}, p = {} }
meter.n = meter.n or {}
for _, entry in ipairs(changes) do
  local at, change = entry[1], entry[2]
  for name, slots in pairs(meter.w) do
    if seconds[name] then
      local number = math.floor(at / (seconds[name] / SLOTS))
      for slot = #slots - 1, 1, -2 do
        if slots[slot] == number then slots[slot + 1] = math.max(0, slots[slot + 1] + change) end
        if slots[slot] <= number then break end
      end
    end
  end
  if meter.t then meter.t = math.max(0, meter.t + change) end
end
for _, entry in ipairs(left) do
  local name, number = entry[1], entry[2]
  if number == 0 then
    meter.p[name], meter.n[name] = nil, nil
  elseif (meter.n[name] or 1) > number then
    meter.n[name] = number
  end
end
local kept_ms = raw and redis.call('PTTL', KEYS[1]) or 0
if #renewed > 0 then
  local till = tonumber(redis.call('TIME')[1]) + place_s
  for _, entry in ipairs(renewed) do
    meter.p[entry[1]] = till
    meter.n[entry[1]] = entry[2] > 1 and entry[2] or nil
  end
  kept_ms = math.max(kept_ms, place_s * 1000)
end
redis.call('SET', KEYS[1], cmsgpack.pack(meter), 'PX', math.max(1, math.ceil(kept_ms)))
return 1
