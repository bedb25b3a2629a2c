#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "policy/url.h"
#include "proxy/http/body.h"
#include "proxy/http/forward.h"
#include "proxy/http/parser.h"

namespace egret {
namespace {

// What python3-requests sends through a proxy.
constexpr std::string_view kRequest =
    "POST http://hooks.partner.example/billing/invoice HTTP/1.1\r\n"
    "Host: hooks.partner.example\r\n"
    "User-Agent: python-requests/2.28.1\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Accept: */*\r\n"
    "Connection: keep-alive\r\n"
    "Content-Length: 1024\r\n"
    "Content-Type: application/json\r\n"
    "\r\n";
constexpr std::string_view kResponse =
    "HTTP/1.1 200 OK\r\n"
    "Server: nginx\r\n"
    "Date: Sat, 18 Jul 2026 10:00:00 GMT\r\n"
    "Content-Type: text/plain\r\n"
    "Content-Length: 3\r\n"
    "Connection: keep-alive\r\n"
    "\r\n";

void find_head_end(benchmark::State& state) {
  for (auto _ : state) {
    size_t scanned = 0;
    benchmark::DoNotOptimize(http::find_head_end(kRequest, scanned));
  }
}
BENCHMARK(find_head_end);

void parse_request(benchmark::State& state) {
  http::RequestHead head;
  for (auto _ : state) benchmark::DoNotOptimize(http::parse_request(kRequest, head));
}
BENCHMARK(parse_request);

void parse_response(benchmark::State& state) {
  http::ResponseHead head;
  for (auto _ : state) benchmark::DoNotOptimize(http::parse_response(kResponse, "POST", head));
}
BENCHMARK(parse_response);

void write_request(benchmark::State& state) {
  http::RequestHead head;
  const Result<> parsed = http::parse_request(kRequest, head);
  const Result<policy::Url> url = policy::parse_url(head.target);
  if (!parsed || !url) {
    state.SkipWithError("the sample request does not parse");
    return;
  }
  std::string out;
  for (auto _ : state) {
    out.clear();
    http::append_request(out, head, *url, head.framing, "egret-bench");
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(write_request);

void decode_chunks(benchmark::State& state) {
  const std::string piece(1024, 'x');
  const std::string body = "400\r\n" + piece + "\r\n400\r\n" + piece + "\r\n0\r\n\r\n";
  for (auto _ : state) {
    http::BodyDecoder decoder(http::Framing{http::Framing::Kind::chunked, 0});
    std::string_view left = body;
    while (!decoder.done()) {
      const Result<http::BodyDecoder::Step> step = decoder.next(left);
      if (!step) {
        state.SkipWithError("the sample body does not decode");
        return;
      }
      left.remove_prefix(step->consumed);
    }
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * body.size()));
}
BENCHMARK(decode_chunks);

}  // namespace
}  // namespace egret
