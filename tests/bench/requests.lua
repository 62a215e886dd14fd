-- Plays whole HTTP requests from a file, each with a delivery id of its own in the place of its marker.
-- Arguments: the file, what the ids of this run begin with.
-- The file holds the secret of the signatures on a line of its own, then for each request: its length in decimal
-- digits, a line feed, the bytes. An id is as long as its marker, so that no length changes.
-- A request with a marker for its signature has the id in its body too, near the end, and is signed as GitHub signs:
-- HMAC-SHA-256, of which the part before the id is computed once.

local bit = require("bit")
local band, bnot, bxor, ror, rshift, tobit = bit.band, bit.bnot, bit.bxor, bit.ror, bit.rshift, bit.tobit

local MARKER = "@DELIVERY@@DELIVERY@"
local SIGNATURE = string.rep("@SIGNATURE@-----", 4)
local BLOCK = 64
local requests = {}
local prefix
local sent = 0

local function fraction(root)
  return tobit(math.floor(root % 1 * 2 ^ 32))
end

local START, ROUNDS = {}, {}
do
  local candidate = 2
  while #ROUNDS < 64 do
    local prime = true
    for factor = 2, math.floor(math.sqrt(candidate)) do
      prime = prime and candidate % factor ~= 0
    end
    if prime then
      ROUNDS[#ROUNDS + 1] = fraction(candidate ^ (1 / 3))
      if #START < 8 then
        START[#START + 1] = fraction(math.sqrt(candidate))
      end
    end
    candidate = candidate + 1
  end
end

local words = {}

local function compress(state, text, first)
  for n = 1, 16 do
    local a, b, c, d = text:byte(first + 4 * n - 4, first + 4 * n - 1)
    words[n] = tobit(a * 0x1000000 + b * 0x10000 + c * 0x100 + d)
  end
  for n = 17, 64 do
    local x, y = words[n - 15], words[n - 2]
    words[n] = tobit(
      words[n - 16] + bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
        + words[n - 7] + bxor(ror(y, 17), ror(y, 19), rshift(y, 10))
    )
  end
  local a, b, c, d, e, f, g, h = unpack(state)
  for n = 1, 64 do
    local s = tobit(h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + ROUNDS[n] + words[n])
    local t = bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c))
    a, b, c, d, e, f, g, h = tobit(s + t), a, b, c, tobit(d + s), e, f, g
  end
  for n, word in ipairs({ a, b, c, d, e, f, g, h }) do
    state[n] = tobit(state[n] + word)
  end
end

-- The state after all whole blocks of a text, and what is left of it.
local function absorb(state, text)
  local after = { unpack(state) }
  local whole = #text - #text % BLOCK
  for first = 1, whole, BLOCK do
    compress(after, text, first)
  end
  return after, text:sub(whole + 1)
end

local function big_endian(number)
  return string.char(
    band(rshift(number, 24), 255), band(rshift(number, 16), 255), band(rshift(number, 8), 255), band(number, 255)
  )
end

-- The eight words of the hash, after the last `rest` of a message of `length` bytes.
local function finish(state, rest, length)
  local zeros = (BLOCK - 9 - #rest) % BLOCK
  return (absorb(state, rest .. "\128" .. string.rep("\0", zeros + 4) .. big_endian(length * 8)))
end

local function padded_key(secret, mask)
  local bytes = {}
  for n = 1, BLOCK do
    bytes[n] = string.char(bxor(secret:byte(n) or 0, mask))
  end
  return table.concat(bytes)
end

local function signer(secret, body, place)
  local inner, rest = absorb(START, padded_key(secret, 0x36) .. body:sub(1, place - 1))
  local outer = absorb(START, padded_key(secret, 0x5c))
  local after, length = body:sub(place + #MARKER), BLOCK + #body
  return function(id)
    local hash = finish(inner, rest .. id .. after, length)
    local bytes = {}
    for n = 1, 8 do
      bytes[n] = big_endian(hash[n])
    end
    local signed = finish(outer, table.concat(bytes), BLOCK + 32)
    for n = 1, 8 do
      bytes[n] = bit.tohex(signed[n])
    end
    return table.concat(bytes)
  end
end

local function substituted(text, marker, value)
  local first, last = text:find(marker, 1, true)
  return first and text:sub(1, first - 1) .. value .. text:sub(last + 1) or text
end

local function prepared(bytes, secret)
  if not bytes:find(SIGNATURE, 1, true) then
    local first, last = bytes:find(MARKER, 1, true)
    if not first then
      return function() return bytes end
    end
    local head, tail = bytes:sub(1, first - 1), bytes:sub(last + 1)
    return function(id) return head .. id .. tail end
  end
  local _, blank = bytes:find("\r\n\r\n", 1, true)
  local head, body = bytes:sub(1, blank), bytes:sub(blank + 1)
  local place = body:find(MARKER, 1, true)
  local before, after, sign = body:sub(1, place - 1), body:sub(place + #MARKER), signer(secret, body, place)
  return function(id)
    local signed = substituted(substituted(head, MARKER, id), SIGNATURE, sign(id))
    return signed .. before .. id .. after
  end
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  prefix = args[2]
  local secret = file:read("*l")
  local length = file:read("*l")
  while length do
    requests[#requests + 1] = prepared(file:read(tonumber(length)), secret)
    length = file:read("*l")
  end
  file:close()
end

function request()
  local place = sent % #requests + 1
  sent = sent + 1
  return requests[place](prefix .. string.format("%08d", sent))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "refused": %d, "broken": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
