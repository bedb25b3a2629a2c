#include "proxy/via.h"

#include <cstring>

#include "proxy/head_reader.h"
#include "proxy/http/parser.h"

namespace egret::proxy {
namespace {

// RFC 9110 15.2: they may come before the answer, but a parent has few to send.
constexpr int kMostInterim = 4;

iovec piece_of(std::string_view bytes) { return {const_cast<char*>(bytes.data()), bytes.size()}; }

Unexpected failed(std::string_view what) {
  return Unexpected(Reason::parent_proxy_failed, "the parent proxy " + std::string(what));
}

Unexpected too_late() {
  return Unexpected(Reason::tls_timeout, "the parent proxy did not answer within timeouts.tls");
}

Unexpected head_failure(const HeadRead& read) {
  using Outcome = HeadRead::Outcome;
  switch (read.outcome) {
    case Outcome::timed_out:
      return too_late();
    case Outcome::nothing:
      return failed("closed without an answer");
    case Outcome::cut_short:
      return failed("closed within its answer's head");
    case Outcome::too_large:
      return failed("answered with a head over 16 KiB");
    case Outcome::no_memory:
      return Unexpected(Reason::memory_limit, "the parent proxy's answer needs buffer_memory");
    case Outcome::malformed:
      return failed("did not answer in HTTP: " + read.failure.detail);
    default:
      return failed(std::string("failed: ") + std::strerror(read.error));
  }
}

// The credentials are not copied: what is copied is not wiped.
async::Task<Result<>> ask(net::Stream& parent, std::string& head, Secret& authorization,
                          Deadline deadline) {
  const std::string_view field = authorization.empty() ? "" : "Proxy-Authorization: ";
  const std::string_view end = authorization.empty() ? "\r\n" : "\r\n\r\n";
  iovec all[] = {piece_of(head), piece_of(field), piece_of(authorization.reveal()), piece_of(end)};
  const std::span<iovec> pieces(all);
  const net::Io put = co_await parent.write_all(pieces, deadline);
  if (put.status == net::Io::Status::timed_out) co_return too_late();
  if (!put.ok()) co_return failed(std::string("failed: ") + std::strerror(put.error));
  co_return Result<>();
}

// Of an answer that is final; `head` is no longer in `buffer`.
Result<> judge_answer(int status, net::Stream& parent, const Buffer& buffer,
                      const std::string& authority) {
  if (status >= 200 && status < 300) {
    // Either is in the buffer, or waits to be read.
    if (buffer.empty() && parent.looks_alive()) return {};
    return failed("opened the tunnel to " + authority + " and sent bytes unasked, or closed it");
  }
  std::string what = "the parent proxy answered CONNECT " + authority + " with ";
  what += std::to_string(status);
  if (status == 407) what += ": it does not take the credentials of via, or wants some";
  return Unexpected(Reason::parent_proxy_refused, std::move(what));
}

}  // namespace

async::Task<Result<>> connect_through(net::Stream& parent, std::string authority,
                                      Secret authorization, BufferPool& buffers,
                                      Deadline deadline) {
  // RFC 9112 3.2.3: Host is the authority again.
  std::string request = "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n";
  Result<> asked = co_await ask(parent, request, authorization, deadline);
  if (!asked) co_return asked;
  // No buffer is held while the parent connects.
  const bool came = co_await parent.readable(deadline);
  if (!came) co_return too_late();
  Buffer buffer = buffers.take();
  for (int interim = 0; interim <= kMostInterim; ++interim) {
    const HeadRead read =
        co_await read_head(parent, buffer, HeadOf::answer, kMostParentHead, deadline);
    if (read.outcome != HeadRead::Outcome::complete) co_return head_failure(read);
    http::ResponseHead head;
    const std::string_view bytes = buffer.view().substr(0, read.size);
    const Result<> parsed = http::parse_found_response(bytes, "CONNECT", head);
    if (!parsed) co_return failed("did not answer in HTTP: " + parsed.error().detail);
    const int status = head.status;
    buffer.consume(read.size);
    if (status == 101) co_return failed("answered 101 without an Upgrade");
    if (status >= 200) co_return judge_answer(status, parent, buffer, authority);
  }
  co_return failed("sent more than " + std::to_string(kMostInterim) + " interim answers");
}

}  // namespace egret::proxy
