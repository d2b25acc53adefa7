-- Takes from a meter, as dragoman/admission/meter.py does; the state of a key and unit is one packed value:
--   { w = { name = { slot, amount, slot, amount, … } }, t = used of the allowance, tu = until when that is
--     believed, p = { place = until when }, n = { place = how many, where it is more than one },
--     told = whether it knows what was in its long windows before }
-- KEYS[1]  the meter
-- ARGV[1]  packed: amount, most, { place, how many, how many to spare, how many there are, its seconds },
--          places that are given back first, { allowance, used (-1: not told), seconds of that },
--          { seconds from which a window is long, what was used lately: { { seconds ago, amount }, … } },
--          windows: { { name =, limit =, seconds = }, … }
-- answers  { "taken", at, amount, which, limit, remaining, reset, places }
--          { "short", name, limit, free, wait (-1: never) }  or  { "unknown" }
local SLOTS, OF_FREE_PLACES = 250, 16
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local amount, most, about_place, back, about_total, before, windows = unpack(cmsgpack.unpack(ARGV[1]))
local place, wanted, spare, places, place_s = unpack(about_place)
local total, used, used_s = unpack(about_total)
local long_s, lately = unpack(before)

local raw = redis.call('GET', KEYS[1])
local meter = raw and cmsgpack.unpack(raw) or { w = {}, p = {} }
meter.n = meter.n or {}
local changed = false
for _, name in ipairs(back) do
  if meter.p[name] then meter.p[name], meter.n[name], changed = nil, nil, true end
end

local is_long, told = total > 0, false
for _, window in ipairs(windows) do
  if window.seconds >= long_s then is_long = true end
end
local wants_total = total > 0 and (meter.t == nil or now >= meter.tu)
local wants_past = is_long and not meter.told
if wants_total or wants_past then
  if used < 0 then return { 'unknown' } end
  told = true
  if total > 0 then meter.t, meter.tu = used, now + used_s end
end

local bounds, kept_s = {}, total > 0 and 3600 or 0
for _, window in ipairs(windows) do
  local name, limit, seconds = window.name, window.limit, window.seconds
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
  if next(meter.p) and kept_s < place_s then kept_s = place_s end
  redis.call('SET', KEYS[1], cmsgpack.pack(meter), 'PX', math.ceil(kept_s * 1000) + 1000)
end

local function refuse(answer)
  if told or changed then keep() end
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
local granted = 0
if place ~= '' and places > 0 then
  local count, held, numbers = 0, {}, {}
  for name, till in pairs(meter.p) do
    if till > now then
      held[name], numbers[name] = till, meter.n[name]
      count = count + (numbers[name] or 1)
    end
  end
  meter.p, meter.n = held, numbers
  local left = places - count
  if left < 1 then return refuse({ 'short', 'concurrency', places, 0, '1' }) end
  granted = math.min(left, wanted)
  granted = granted + math.min(spare, math.floor((left - granted) / OF_FREE_PLACES))
  held[place] = now + place_s
  if granted > 1 then numbers[place] = granted end
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

local answer = { 'taken', string.format('%.6f', now), amount, which, 0, 0, '0', granted }
if which >= 0 then
  local bound = bounds[which + 1]
  local newest = bound.slots[#bound.slots - 1]
  answer[5], answer[6] = bound.limit, math.max(0, bound.limit - bound.sum)
  answer[7] = tostring(newest and left_after(bound, newest) or 0)
elseif total > 0 then
  answer[5], answer[6] = total, math.max(0, total - meter.t)
end
return answer
