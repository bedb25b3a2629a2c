-- wrk: a POST of 1 KiB of JSON in absolute-form, to destinations in turn. BENCH_TARGETS: HOST:PORT, spaces between; BENCH_PAUSE:
-- milliseconds that each connection waits before a request.
local frame = '{"type":"invoice.paid","data":"%s"}'
local body = frame:format(("x"):rep(1024 - #frame + 2))
local pause = tonumber(os.getenv("BENCH_PAUSE") or "0")
local messages = {}
local turn = 0

function init()
  wrk.headers["Content-Type"] = "application/json"
  for target in os.getenv("BENCH_TARGETS"):gmatch("%S+") do
    wrk.headers["Host"] = target
    messages[#messages + 1] = wrk.format("POST", "http://" .. target .. "/hooks/billing", nil, body)
  end
end

function request()
  turn = turn % #messages + 1
  return messages[turn]
end

if pause > 0 then
  function delay()
    return math.random(0, 2 * pause)
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('RESULT {"requests": %d, "seconds": %.6f, "refused": %d, "broken": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
