#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/url.h"
#include "proxy/http/message.h"

namespace egret::http {

// What an intermediary does to fields (RFC 9110 7.6). Never forwarded: Connection and what it
// names, Keep-Alive, Proxy-Connection, Proxy-* of any kind, TE, Trailer, Transfer-Encoding,
// Upgrade, Egret-*, Content-Length and Host (both written anew), and for requests
// Expect (Egret answers it), for answers Proxy-Status of the destination.
//   `Connection: close, X-Foo` removes X-Foo; a Connection that names a field framing or routing
//   depends on (Host, Content-Length, Content-Type, Via, Authorization, …) is ignored for that
//   name: a sender cannot make Egret drop what decides.

// What a rule changes of the fields that go to a destination.
struct Changes {
  std::span<const std::string> remove;  // names in lower case; "_" in a sender's name counts as "-"
  std::string_view add;                 // complete field lines
};

// Appends the head that goes to the destination: origin-form, HTTP/1.1, Host from `url`, the
// forwardable fields as sent, Content-Length or Transfer-Encoding for `framing`, and Via
// (RFC 9110 7.6.3) with `pseudonym`. `changes`: null, or what is left out of the sender's fields
// and put behind them.
void append_request(std::string& out, const RequestHead& head, const policy::Url& url,
                    Framing framing, std::string_view pseudonym, const Changes* changes = nullptr);

// Appends the head by which a request is kept until it can be sent: absolute-form of `url`,
// HTTP/1.1, Host, the forwardable fields with `changes`, and Content-Length. It is a request to
// this proxy again: no Via is added.
void append_kept(std::string& out, const RequestHead& head, const policy::Url& url, uint64_t length,
                 const Changes& changes);

// The fields of `head` that append_request would write with `changes`, then those of changes.add,
// in order: what a signature may cover. Views into both.
std::vector<Field> forwarded(const RequestHead& head, const Changes& changes);

// Appends the head that goes back to the sender. `framing`: none, length, or chunked; until_close
// adds `Connection: close`. `keep_alive` false adds `Connection: close`.
// `sender_minor`: an HTTP/1.0 sender gets no chunked coding. `extra` is complete field lines
// ("Proxy-Status: egret\r\n…").
void append_response(std::string& out, const ResponseHead& head, Framing framing, int sender_minor,
                     bool keep_alive, std::string_view pseudonym, std::string_view extra);

// Appends a 1xx answer's head: status line and forwardable fields.
void append_interim(std::string& out, const ResponseHead& head);

// True when the request's Via fields name `pseudonym`: it has been through this Egret.
bool has_been_here(const Fields& fields, std::string_view pseudonym);

}  // namespace egret::http
