#include "config/pem_files.h"

#include <optional>

namespace egret::config {
namespace {

std::optional<std::string> parse_path(std::string_view text, std::string& why) {
  if (text.find("-----BEGIN") != std::string_view::npos) {
    why = "PEM does not stand in the text; write the path of its file";
    return std::nullopt;
  }
  if (text.empty()) {
    why = "expected the path of a file, found nothing";
    return std::nullopt;
  }
  return std::string(text);
}

bool read_path(const Mapping& mapping, std::string_view key, std::string& path) {
  const Node* node = mapping.find(key);
  if (node == nullptr || node->kind != Node::Kind::mapping) {
    return mapping.scalar(key, path, parse_path);
  }
  // {file: path}, as a secret is written.
  mapping.error(key, std::string(key) + ": expected the path of a file, found a mapping; write " +
                         std::string(key) + ": path");
  return false;
}

bool report(const Mapping& mapping, std::string_view key, const std::string& path,
            const pem::Checked& checked) {
  const std::string begin = std::string(key) + ": " + in_quotes(path) + " ";
  if (!checked.error.empty()) mapping.error(key, begin + checked.error);
  if (!checked.warning.empty()) mapping.warning(key, begin + checked.warning);
  return checked.error.empty();
}

}  // namespace

const PemFiles::File& PemFiles::file(Kind kind, const std::string& path) {
  const auto [found, added] = files_.try_emplace({kind, path});
  File& file = found->second;
  if (!added) return file;
  const bool many = kind == Kind::authorities || kind == Kind::revocation_lists;
  file.text =
      many ? source_.read_list(path, file.unreadable) : source_.read_file(path, file.unreadable);
  if (!file.unreadable.empty()) return file;
  switch (kind) {
    case Kind::peer:
      file.checked = pem::check_chain(file.text, pem::Owner::peer);
      break;
    case Kind::authority:
      file.checked = pem::check_chain(file.text, pem::Owner::authority);
      break;
    case Kind::authorities:
      file.checked = pem::check_authorities(file.text);
      break;
    case Kind::revocation_lists:
      file.checked = pem::check_revocation_lists(file.text);
      break;
  }
  return file;
}

bool PemFiles::read(const Mapping& mapping, std::string_view key, Kind kind, std::string& out) {
  std::string path;
  if (!read_path(mapping, key, path)) return false;
  const File& read = file(kind, path);
  if (!read.unreadable.empty()) {
    mapping.error(key, std::string(key) + ": " + read.unreadable);
    return false;
  }
  if (!report(mapping, key, path, read.checked)) return false;
  out = read.text;
  return true;
}

bool PemFiles::read_key(const Mapping& mapping, std::string_view key, Secret& out) {
  std::string path;
  if (!read_path(mapping, key, path)) return false;
  std::string error;
  Secret secret(source_.read_file(path, error));
  if (!error.empty()) {
    mapping.error(key, std::string(key) + ": " + error);
    return false;
  }
  if (const std::string risk = source_.file_warning(path); !risk.empty()) {
    mapping.warning(key, risk);
  }
  if (!report(mapping, key, path, pem::check_private_key(secret.reveal()))) return false;
  out = std::move(secret);
  return true;
}

bool PemFiles::authorities(const Mapping& mapping, std::string_view key, std::string& out) {
  return read(mapping, key, Kind::authorities, out);
}

bool PemFiles::revocation_lists(const Mapping& mapping, std::string_view key, std::string& out) {
  return read(mapping, key, Kind::revocation_lists, out);
}

bool PemFiles::pair(const Mapping& mapping, std::string_view what, PairKeys keys, pem::Owner owner,
                    policy::KeyPair& out) {
  for (const std::string_view key : {keys.certificate, keys.private_key}) {
    if (!mapping.is_mapping() || mapping.has(key)) continue;
    mapping.error(key, std::string(what) + ": " + std::string(key) + " is needed");
  }
  policy::KeyPair read_pair;
  const Kind kind = owner == pem::Owner::peer ? Kind::peer : Kind::authority;
  const bool certificate = read(mapping, keys.certificate, kind, read_pair.certificate);
  const bool private_key = read_key(mapping, keys.private_key, read_pair.private_key);
  if (!certificate || !private_key) return false;
  if (!pem::belongs(read_pair.private_key.reveal(), read_pair.certificate)) {
    mapping.error(keys.private_key, std::string(keys.private_key) +
                                        ": it is not the key of the first certificate under " +
                                        in_quotes(keys.certificate));
    return false;
  }
  out = std::move(read_pair);
  return true;
}

}  // namespace egret::config
