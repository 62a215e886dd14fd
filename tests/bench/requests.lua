-- Plays whole HTTP requests from a file, each with a delivery id of its own in the place of its marker.
-- Arguments: the file, what the ids of this run begin with.
-- The file holds, for each request: its length in decimal digits, a line feed, the bytes.

local MARKER = "@DELIVERY@"
local heads, tails = {}, {}
local prefix
local sent = 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  prefix = args[2]
  local length = file:read("*l")
  while length do
    local bytes = file:read(tonumber(length))
    local first, last = bytes:find(MARKER, 1, true)
    heads[#heads + 1] = bytes:sub(1, first and first - 1 or #bytes)
    tails[#tails + 1] = first and bytes:sub(last + 1) or false
    length = file:read("*l")
  end
  file:close()
end

function request()
  local place = sent % #heads + 1
  sent = sent + 1
  if not tails[place] then
    return heads[place]
  end
  return heads[place] .. prefix .. string.format("%08d", sent) .. tails[place]
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
