-- wrk: a POST of 1 KiB of JSON in absolute-form, as a sender with HTTP_PROXY makes it.
local target = os.getenv("BENCH_TARGET")
local frame = '{"type":"invoice.paid","data":"%s"}'
local body = frame:format(("x"):rep(1024 - #frame + 2))

function init()
  wrk.headers["Host"] = target
  wrk.headers["Content-Type"] = "application/json"
  message = wrk.format("POST", "http://" .. target .. "/hooks/billing", nil, body)
end

function request()
  return message
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('RESULT {"requests": %d, "seconds": %.6f, "refused": %d, "broken": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
