-- Takes from a meter, as dragoman/admission/meter.py does; the state of a key and unit is one packed value:
--   { w = { name = { slot, amount, slot, amount, … } }, t = used of the allowance, tu = until when that is
--     believed, p = { place = until when }, told = whether it knows what was in its long windows before }
-- KEYS[1]  the meter
-- ARGV     amount, most, place, seconds of a place, places, allowance, used (-1: not told), seconds of that,
--          seconds from which a window is long, what was used lately: [[seconds ago, amount], …],
--          then name, limit and seconds of each window
-- answers  { "taken", at, amount, which, limit, remaining, reset }
--          { "short", name, limit, free, wait (-1: never) }  or  { "unknown" }
local SLOTS = 250
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local amount, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local place, place_s, places = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local total, used, used_s = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local long_s, lately = tonumber(ARGV[9]), cjson.decode(ARGV[10])
local raw = redis.call('GET', KEYS[1])
local meter = raw and cmsgpack.unpack(raw) or { w = {}, p = {} }

local is_long, told = total > 0, false
for at = 11, #ARGV, 3 do
  if tonumber(ARGV[at + 2]) >= long_s then is_long = true end
end
local wants_total = total > 0 and (meter.t == nil or now >= meter.tu)
local wants_past = is_long and not meter.told
if wants_total or wants_past then
  if used < 0 then return { 'unknown' } end
  told = true
  if total > 0 then meter.t, meter.tu = used, now + used_s end
end

local bounds, kept_s = {}, total > 0 and 3600 or 0
for at = 11, #ARGV, 3 do
  local name, limit, seconds = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local width = seconds / SLOTS
  local slots, sum, first = meter.w[name] or {}, 0, 1
  local gone = math.floor(now / width) - SLOTS
  while slots[first] and slots[first] < gone do first = first + 2 end
  local kept = {}
  for place_at = first, #slots, 2 do
    kept[#kept + 1], kept[#kept + 2] = slots[place_at], slots[place_at + 1]
    sum = sum + slots[place_at + 1]
  end
  if told and not meter.told and seconds >= long_s and sum == 0 then
    for _, entry in ipairs(lately) do
      local slot = math.floor((now - entry[1]) / width)
      if slot >= gone then
        if #kept > 0 and kept[#kept - 1] >= slot then
          kept[#kept] = kept[#kept] + entry[2]
        else
          kept[#kept + 1], kept[#kept + 2] = slot, entry[2]
        end
        sum = sum + entry[2]
      end
    end
  end
  meter.w[name] = kept
  if seconds * 1.1 > kept_s then kept_s = seconds * 1.1 end
  bounds[#bounds + 1] = { name = name, limit = limit, width = width, slots = kept, sum = sum }
end

if told then meter.told = true end

local function left_after(bound, slot)
  return math.max(0, (slot + SLOTS + 1) * bound.width - now)
end

local function keep()
  redis.call('SET', KEYS[1], cmsgpack.pack(meter), 'PX', math.ceil(kept_s * 1000) + 1000)
end

local function refuse(answer)
  if told then keep() end
  return answer
end

local free = nil
if total > 0 then
  free = total - meter.t
  if free < amount then
    return refuse({ 'short', 'max_tokens', total, math.max(0, free), '-1' })
  end
end
local short, longest = nil, -1
for _, bound in ipairs(bounds) do
  local here = bound.limit - bound.sum
  if free == nil or here < free then free = here end
  if here < amount then
    if amount > bound.limit then
      return refuse({ 'short', bound.name, bound.limit, math.max(0, here), '-1' })
    end
    local left, wait = amount - here, 0
    for at = 1, #bound.slots, 2 do
      left = left - bound.slots[at + 1]
      wait = left_after(bound, bound.slots[at])
      if left <= 0 then break end
    end
    if wait > longest then
      longest = wait
      short = { 'short', bound.name, bound.limit, math.max(0, here), tostring(wait) }
    end
  end
end
if short then return refuse(short) end
if place ~= '' and places > 0 then
  local count, held = 0, {}
  for name, till in pairs(meter.p) do
    if till > now then
      held[name] = till
      count = count + 1
    end
  end
  meter.p = held
  if count >= places then return refuse({ 'short', 'concurrency', places, 0, '1' }) end
  held[place] = now + place_s
  if kept_s < place_s then kept_s = place_s end
end

if most > amount then amount = math.max(amount, math.min(most, free or 0)) end
local which, least = -1, 2
for index, bound in ipairs(bounds) do
  local slots, slot = bound.slots, math.floor(now / bound.width)
  if amount > 0 then
    if #slots > 0 and slots[#slots - 1] >= slot then
      slots[#slots] = slots[#slots] + amount
    else
      slots[#slots + 1], slots[#slots + 2] = slot, amount
    end
    bound.sum = bound.sum + amount
  end
  local left = 1 - bound.sum / bound.limit
  if left < least then least, which = left, index - 1 end
end
if total > 0 then meter.t = meter.t + amount end
keep()

local answer = { 'taken', string.format('%.6f', now), amount, which, 0, 0, '0' }
if which >= 0 then
  local bound = bounds[which + 1]
  local newest = bound.slots[#bound.slots - 1]
  answer[5], answer[6] = bound.limit, math.max(0, bound.limit - bound.sum)
  answer[7] = tostring(newest and left_after(bound, newest) or 0)
elseif total > 0 then
  answer[5], answer[6] = total, math.max(0, total - meter.t)
end
return answer
