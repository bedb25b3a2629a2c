#include "tests/support/dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/text.h"

namespace egret::test {
namespace {

constexpr size_t kHeader = 12;
constexpr size_t kMostOverUdp = 512;

uint16_t type_code(const std::string& type) {
  if (type == "A") return 1;
  if (type == "CNAME") return 5;
  if (type == "TXT") return 16;
  if (type == "AAAA") return 28;
  throw std::invalid_argument("a record type the server does not know: " + type);
}
std::string type_name(unsigned code) {
  for (const char* name : {"A", "CNAME", "TXT", "AAAA"}) {
    if (type_code(name) == code) return name;
  }
  return "TYPE" + std::to_string(code);
}

void put16(std::string& out, unsigned value) {
  out += static_cast<char>(value >> 8 & 0xff);
  out += static_cast<char>(value & 0xff);
}
void put32(std::string& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
unsigned get16(std::string_view in, size_t at) {
  return static_cast<unsigned>(static_cast<uint8_t>(in.at(at)) << 8 |
                               static_cast<uint8_t>(in.at(at + 1)));
}

std::string wire_name(std::string_view name) {
  std::string wire;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    wire += static_cast<char>(label.size());
    wire += label;
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  return wire + '\0';
}

std::string data_of(const DnsRecord& record) {
  if (!record.raw.empty()) return record.raw;
  if (record.type == "CNAME") return wire_name(record.value);
  if (record.type == "TXT") return static_cast<char>(record.value.size()) + record.value;
  std::array<char, 16> bytes{};
  const bool v4 = record.type == "A";
  if (inet_pton(v4 ? AF_INET : AF_INET6, record.value.c_str(), bytes.data()) != 1) {
    throw std::invalid_argument("not an address: " + record.value);
  }
  return {bytes.data(), v4 ? 4U : 16U};
}

// A question as it came.
struct Question {
  unsigned id = 0;
  std::string section;  // name, type, class as sent
  DnsQuery query;
};
Question read_question(std::string_view packet, bool tcp, uint16_t source_port) {
  Question question;
  question.id = get16(packet, 0);
  size_t at = kHeader;
  std::string name;
  while (packet.at(at) != 0) {
    const auto length = static_cast<uint8_t>(packet[at]);
    if (!name.empty()) name += '.';
    name += packet.substr(at + 1, length);
    at += 1U + length;
  }
  question.section = packet.substr(kHeader, at + 5 - kHeader);
  question.query = {text::to_lower(name), type_name(get16(packet, at + 1)), tcp, source_port};
  return question;
}

struct Flags {
  unsigned code = 0;
  bool truncated = false;
};
std::string head(unsigned id, const std::string& section, Flags flags, size_t answers) {
  std::string out;
  put16(out, id);
  put16(out, 0x8180U | flags.code | (flags.truncated ? 0x0200U : 0));
  put16(out, 1);
  put16(out, static_cast<unsigned>(answers));
  put32(out, 0);
  return out + section;
}

std::string record_bytes(const DnsRecord& record) {
  std::string out = record.owner.empty() ? std::string("\xc0\x0c") : wire_name(record.owner);
  put16(out, type_code(record.type));
  put16(out, 1);
  put32(out, record.ttl);
  const std::string data = data_of(record);
  put16(out, static_cast<unsigned>(data.size()));
  return out + data;
}

// Rows of the asked type, and every CNAME.
std::string records_reply(const Question& question, const DnsAnswer& answer, bool tcp,
                          unsigned id) {
  std::string records;
  size_t count = 0;
  for (const DnsRecord& record : answer.records) {
    if (record.type != question.query.type && record.type != "CNAME" && record.type != "TXT") {
      continue;
    }
    records += record_bytes(record);
    ++count;
  }
  const size_t size = kHeader + question.section.size() + records.size();
  if (!tcp && size > kMostOverUdp) return head(id, question.section, {.truncated = true}, 0);
  return head(id, question.section, {}, count) + records;
}

std::string compose(const Question& question, const DnsAnswer& answer, bool tcp) {
  const auto code = [&](unsigned value) {
    return head(question.id, question.section, {.code = value}, 0);
  };
  const std::string cut = head(question.id, question.section, {.truncated = true}, 0);
  switch (answer.mode) {
    case DnsMode::nxdomain:
      return code(3);
    case DnsMode::servfail:
      return code(2);
    case DnsMode::refused:
      return code(5);
    case DnsMode::notimp:
      return code(4);
    case DnsMode::formerr:
      return code(1);
    case DnsMode::nodata:
      return code(0);
    case DnsMode::silence:
    case DnsMode::empty_packet:
      return {};
    case DnsMode::always_truncated:
      return cut;
    case DnsMode::tcp_hangs_up:
      return tcp ? std::string() : cut;
    case DnsMode::truncated:
      return tcp ? records_reply(question, answer, tcp, question.id) : cut;
    case DnsMode::garbage:
      return std::string(40, '\xff');
    case DnsMode::garbage_body:
      return head(question.id, question.section, {}, 3) + std::string(25, '\xfe');
    case DnsMode::wrong_id:
      return records_reply(question, answer, tcp, question.id ^ 1U);
    case DnsMode::wrong_question: {
      Question other = question;
      other.section = wire_name("evil.test") + question.section.substr(question.section.size() - 4);
      return records_reply(other, answer, tcp, question.id);
    }
    case DnsMode::compression_loop: {
      std::string record = "\xc0";
      record += static_cast<char>(kHeader + question.section.size());
      put16(record, type_code(question.query.type));
      put16(record, 1);
      put32(record, 60);
      put16(record, 4);
      return head(question.id, question.section, {}, 1) + record + std::string(4, '\x08');
    }
    case DnsMode::records:
    case DnsMode::wrong_source:
      break;
  }
  return records_reply(question, answer, tcp, question.id);
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}
int bound(int type, uint16_t port) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (fd >= 0) close(fd);
    return -1;
  }
  return fd;
}
uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

DnsAnswer answer_of_word(const std::string& word) {
  if (word == "NXDOMAIN") return {.mode = DnsMode::nxdomain};
  if (word == "SERVFAIL") return {.mode = DnsMode::servfail};
  if (word == "REFUSED") return {.mode = DnsMode::refused};
  if (word == "NODATA") return {.mode = DnsMode::nodata};
  if (word == "TIMEOUT") return {.mode = DnsMode::silence};
  if (word == "TRUNC") return {.mode = DnsMode::always_truncated};
  if (word == "GARBAGE") return {.mode = DnsMode::garbage};
  if (word == "WRONGID") return {.mode = DnsMode::wrong_id};
  throw std::invalid_argument("no such answer: " + word);
}

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

}  // namespace

// An answer that waits for its time.
struct DnsServer::Late {
  std::chrono::steady_clock::time_point when;
  int fd;
  sockaddr_in to;
  std::string bytes;
};

DnsServer::DnsServer() : stop_(eventfd(0, EFD_CLOEXEC)) {
  // The same port for both; somebody may have taken the TCP one.
  for (int tries = 0; tries < 50 && tcp_ < 0; ++tries) {
    if (udp_ >= 0) close(udp_);
    udp_ = bound(SOCK_DGRAM, 0);
    tcp_ = bound(SOCK_STREAM, port_of(udp_));
  }
  other_udp_ = bound(SOCK_DGRAM, 0);
  if (stop_ < 0 || udp_ < 0 || other_udp_ < 0 || tcp_ < 0 || listen(tcp_, 16) != 0) {
    throw std::runtime_error("the test's name server cannot have its sockets");
  }
  endpoint_ = {policy::Address::v4({127, 0, 0, 1}), port_of(udp_)};
  thread_ = std::thread([this] { serve(); });
}

DnsServer::~DnsServer() {
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = write(stop_, &one, sizeof one);
  thread_.join();
  for (const int fd : {udp_, other_udp_, tcp_, stop_}) close(fd);
}

void DnsServer::script(const std::string& name, DnsAnswers answers) {
  script(name, "", std::move(answers));
}
void DnsServer::script(const std::string& name, const std::string& type, DnsAnswers answers) {
  const std::lock_guard lock(mutex_);
  scripts_[{name, type}] = std::move(answers);
  if (type.empty()) {
    std::erase_if(asked_, [&](const auto& entry) { return entry.first.first == name; });
  } else {
    asked_.erase({name, type});
  }
}

void DnsServer::load_zone(std::string_view json) {
  const auto zone = nlohmann::json::parse(json);
  for (const auto& [name, rows] : zone.items()) {
    DnsAnswers answers;
    if (rows.is_string()) answers.push_back(answer_of_word(rows.get<std::string>()));
    for (const auto& set : rows.is_array() ? rows : nlohmann::json::array()) {
      DnsAnswer& answer = answers.emplace_back();
      for (const auto& row : set) {
        answer.records.push_back({.type = row.at("t").get<std::string>(),
                                  .value = row.at("v").get<std::string>(),
                                  .ttl = row.value("ttl", 0U),
                                  .owner = row.value("n", ""),
                                  .raw = bytes_of_hex(row.value("raw", ""))});
      }
    }
    script(name, std::move(answers));
  }
}

std::vector<DnsQuery> DnsServer::queries() const {
  const std::lock_guard lock(mutex_);
  return queries_;
}

size_t DnsServer::count(const std::string& name, const std::string& type) const {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::ranges::count_if(
      queries_, [&](const DnsQuery& query) { return query.name == name && query.type == type; }));
}

DnsAnswer DnsServer::choose(const DnsQuery& query) const {
  const std::lock_guard lock(mutex_);
  queries_.push_back(query);
  const DnsAnswers* answers = nullptr;
  for (const Key& key : {Key(query.name, query.type), Key(query.name, ""), Key("*", "")}) {
    const auto found = scripts_.find(key);
    if (found == scripts_.end()) continue;
    answers = &found->second;
    break;
  }
  if (answers == nullptr || answers->empty()) return {.mode = DnsMode::nxdomain};
  // A question repeated over TCP is still the same question.
  size_t& asked = asked_[{query.name, query.type}];
  const size_t index = query.tcp && asked > 0 ? asked - 1 : asked++;
  return (*answers)[std::min(index, answers->size() - 1)];
}

std::string DnsServer::answer(std::string_view packet, bool tcp, uint16_t source_port,
                              DnsAnswer& chosen) const {
  const Question question = read_question(packet, tcp, source_port);
  chosen = choose(question.query);
  return compose(question, chosen, tcp);
}

void DnsServer::serve() {
  std::vector<Late> late;
  while (true) {
    std::array<pollfd, 3> fds{{{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}, {stop_, POLLIN, 0}}};
    poll(fds.data(), fds.size(), late.empty() ? -1 : 1);
    if (fds[2].revents != 0) return;
    if (fds[0].revents != 0) serve_udp(late);
    if (fds[1].revents != 0) serve_tcp();
    const auto now = std::chrono::steady_clock::now();
    std::erase_if(late, [&](const Late& each) {
      if (each.when > now) return false;
      sendto(each.fd, each.bytes.data(), each.bytes.size(), MSG_NOSIGNAL,
             reinterpret_cast<const sockaddr*>(&each.to), sizeof each.to);
      return true;
    });
  }
}

void DnsServer::serve_udp(std::vector<Late>& late) {
  std::array<char, 4096> buffer{};
  sockaddr_in from{};
  socklen_t size = sizeof from;
  const ssize_t got =
      recvfrom(udp_, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (got < static_cast<ssize_t>(kHeader)) return;
  DnsAnswer chosen;
  std::string reply =
      answer({buffer.data(), static_cast<size_t>(got)}, false, ntohs(from.sin_port), chosen);
  if (reply.empty() && chosen.mode != DnsMode::empty_packet) return;
  late.push_back({std::chrono::steady_clock::now() + chosen.delay,
                  chosen.mode == DnsMode::wrong_source ? other_udp_ : udp_, from,
                  std::move(reply)});
}

void DnsServer::serve_tcp() const {
  const int fd = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  const timeval patience{.tv_sec = 0, .tv_usec = 300'000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::array<char, 2> prefix{};
  // A question at a time until the client leaves: c-ares sends both over one connection.
  while (recv(fd, prefix.data(), prefix.size(), MSG_WAITALL) == 2) {
    std::string packet(get16({prefix.data(), 2}, 0), '\0');
    if (recv(fd, packet.data(), packet.size(), MSG_WAITALL) !=
        static_cast<ssize_t>(packet.size())) {
      break;
    }
    DnsAnswer chosen;
    const std::string reply = answer(packet, true, 0, chosen);
    if (reply.empty()) break;
    std::string framed;
    put16(framed, static_cast<unsigned>(reply.size()));
    framed += reply;
    if (send(fd, framed.data(), framed.size(), MSG_NOSIGNAL) < 0) break;
  }
  close(fd);
}

}  // namespace egret::test
