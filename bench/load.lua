-- Builds the requests that wrk sends, and prints the measurement as one line of JSON.
-- Arguments: kind (hold, read, mix, flow, order, payment or webhook), products, keys (generated or client), delay_ms,
-- API key, file. bench/load.py explains them.

statuses = {} -- count of responses by status in one thread; global, so that done() can read it

local threads = {}
local next_requests, first_next, last_next = {}, 1, 0 -- a queue; only the kind "flow" uses it
local products, has_client_keys, is_flow, authorization

function setup(thread)
  threads[#threads + 1] = thread
end

local function seed()
  local file = io.open("/dev/urandom", "rb")
  local a, b, c = file:read(3):byte(1, 3)
  file:close()
  math.randomseed(a * 65536 + b * 256 + c)
end

local function random_key()
  local r = math.random
  return string.format("%08x-%04x-4%03x-%04x-%012x", r(0, 4294967295), r(0, 65535), r(0, 4095), r(32768, 49151), r(0, 2 ^ 46))
end

local function post(path, body, key)
  local headers = { ["Content-Type"] = "application/json", ["Idempotency-Key"] = key, ["Authorization"] = authorization }
  return wrk.format("POST", path, headers, body)
end

local function hold()
  local product_id = products == 1 and 1 or math.random(products)
  return post("/api/holds", '{"product_id":' .. product_id .. ',"quantity":1}', has_client_keys and random_key() or nil)
end

local function read()
  return wrk.format("GET", "/api/products/" .. (products == 1 and 1 or math.random(products)))
end

local function mix()
  return math.random(10) == 1 and hold() or read()
end

-- wrk does not tell a script which connection asks for a request. So each response queues the next request of its flow,
-- and whichever connection may send takes the oldest one. As many requests are in flight, and each hold's requests are
-- in the same order, as if every connection sent the requests of its own flow.
local function flow()
  local oldest = next_requests[first_next]
  if not oldest then
    return hold()
  end
  next_requests[first_next] = nil
  first_next = first_next + 1
  return oldest
end

-- Queues the request that follows a response in its flow. Returns the status, or 0 for a payment that was answered but
-- not applied.
local function queue_next_request(status, body)
  if status >= 400 then
    return status
  elseif body:find('"outcome":', 1, true) then
    return body:find('"outcome":"applied"', 1, true) and status or 0
  end
  local order_id = body:match('"order_id":(%d+)')
  last_next = last_next + 1
  if order_id then
    local event = '{"idempotency_key":"%s","order_id":%s,"status":"success"}'
    next_requests[last_next] = post("/api/payments/webhook", string.format(event, random_key(), order_id))
  else
    next_requests[last_next] = post("/api/orders", '{"hold_id":' .. body:match('"hold_id":(%d+)') .. "}")
  end
  return status
end

local requests, next_request = {}, 0 -- those of a file

-- Each event has four lines: webhook-id, webhook-timestamp, webhook-signature, body.
local function read_events(path)
  local lines = {}
  for line in io.lines(path) do
    lines[#lines + 1] = line
    if #lines == 4 then
      requests[#requests + 1] = wrk.format("POST", "/api/payments/webhook", {
        ["Content-Type"] = "application/json", ["webhook-id"] = lines[1],
        ["webhook-timestamp"] = lines[2], ["webhook-signature"] = lines[3],
      }, lines[4])
      lines = {}
    end
  end
end

local function read_bodies(path, target)
  for line in io.lines(path) do
    requests[#requests + 1] = post(target, line)
  end
end

local function from_file()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

local targets = { order = "/api/orders", payment = "/api/payments/webhook" }
local kinds = {
  hold = hold, read = read, mix = mix, flow = flow, order = from_file, payment = from_file, webhook = from_file,
}

function init(arguments)
  seed()
  local kind, delay_ms = arguments[1], tonumber(arguments[4])
  products, has_client_keys = tonumber(arguments[2]), arguments[3] == "client"
  if arguments[5] ~= "" then
    authorization = "Bearer " .. arguments[5]
  end
  if kind == "webhook" then
    read_events(arguments[6])
  elseif targets[kind] then
    read_bodies(arguments[6], targets[kind])
  end
  request = kinds[kind]
  if products == 1 and not has_client_keys and (kind == "hold" or kind == "read") then
    local same_request = request()
    request = function() return same_request end
  end
  if delay_ms > 0 then
    delay = function() return delay_ms end
  end
  is_flow = kind == "flow"
end

function response(status, _, body)
  if is_flow then
    status = queue_next_request(status, body)
  end
  statuses[status] = (statuses[status] or 0) + 1
end

function done(summary, latency)
  local totals = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("statuses")) do
      totals[status] = (totals[status] or 0) + count
    end
  end
  local parts = {}
  for status, count in pairs(totals) do
    parts[#parts + 1] = string.format('"%d":%d', status, count)
  end
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"connection_errors":%d,"statuses":{%s}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.timeout, table.concat(parts, ",")
  ))
end
