#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <fstream>
#include <map>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>

namespace egret::queue {

// FaultyVfs stands between SQLite and its files while it lives, one at a time, and makes calls
// fail. A sync costs nothing: it only notes what a loss of power would leave.
class FaultyVfs {
 public:
  enum class Call : uint8_t { write, sync, truncate, read, open, remove, any };
  struct Fault {
    Call call = Call::any;
    int code = SQLITE_IOERR;  // what the call says
    int64_t first = 0;        // the n-th of these calls, from 1
    int64_t length = 1;       // it and those after it
  };

  FaultyVfs() : real_(sqlite3_vfs_find(nullptr)) {
    now_ = this;
    shim_ = *real_;
    shim_.zName = "faulty";
    shim_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    shim_.xOpen = open;
    shim_.xDelete = remove;
    if (sqlite3_vfs_register(&shim_, 1) != SQLITE_OK) throw std::runtime_error("sqlite3_vfs");
  }
  ~FaultyVfs() {
    sqlite3_vfs_unregister(&shim_);
    sqlite3_vfs_register(real_, 1);
    now_ = nullptr;
  }
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;

  void arm(Fault fault) {
    fault_ = fault;
    calls_ = 0;
  }
  // Whether a call has failed since arm().
  bool disarm() {
    const bool met = fault_.first != 0 && calls_ >= fault_.first;
    fault_ = {};
    return met;
  }
  // Each file has what its last sync found in it, and no more.
  void lose_power() const {
    for (const auto& [path, bytes] : synced_) {
      std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    }
  }

 private:
  struct File {
    sqlite3_file base;
    const std::string* path;  // of synced_; nullptr: a file without a name
    [[nodiscard]] sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File& of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
  static sqlite3_file* real(sqlite3_file* file) { return of(file).real(); }
  static const sqlite3_io_methods& real_methods(sqlite3_file* file) {
    return *real(file)->pMethods;
  }

  // The code to fail with, or SQLITE_OK.
  int count(Call call) {
    const bool counts = fault_.first != 0 && (fault_.call == Call::any || fault_.call == call);
    if (!counts || ++calls_ < fault_.first) return SQLITE_OK;
    return calls_ - fault_.first < fault_.length ? fault_.code : SQLITE_OK;
  }

  static int open(sqlite3_vfs* /*vfs*/, const char* path, sqlite3_file* made, int flags,
                  int* flags_out) {
    File& file = *new (made) File{};
    if (now_->count(Call::open) != SQLITE_OK) return SQLITE_CANTOPEN;
    const int code = now_->real_->xOpen(now_->real_, path, file.real(), flags, flags_out);
    if (code != SQLITE_OK) return code;
    if (path != nullptr) file.path = now_->known(path);
    file.base.pMethods = methods();
    return SQLITE_OK;
  }
  static int remove(sqlite3_vfs* /*vfs*/, const char* path, int sync) {
    const int failed = now_->count(Call::remove);
    if (failed != SQLITE_OK) return SQLITE_IOERR_DELETE;
    const int code = now_->real_->xDelete(now_->real_, path, sync);
    // Its entry stays where an open file has its name.
    if (code == SQLITE_OK && now_->synced_.contains(path)) now_->synced_[path].clear();
    return code;
  }
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 at) {
    const int failed = now_->count(Call::write);
    return failed != SQLITE_OK ? failed : real_methods(file).xWrite(real(file), bytes, size, at);
  }
  static int read(sqlite3_file* file, void* bytes, int size, sqlite3_int64 at) {
    const int failed = now_->count(Call::read);
    return failed != SQLITE_OK ? failed : real_methods(file).xRead(real(file), bytes, size, at);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    const int failed = now_->count(Call::truncate);
    return failed != SQLITE_OK ? failed : real_methods(file).xTruncate(real(file), size);
  }
  static int sync(sqlite3_file* file, int /*flags*/) {
    const int failed = now_->count(Call::sync);
    if (failed != SQLITE_OK) return failed;
    const std::string* path = of(file).path;
    if (path != nullptr) now_->synced_[*path] = bytes_of(*path);
    return SQLITE_OK;
  }
  static std::string bytes_of(const std::string& path) {
    std::ostringstream bytes;
    bytes << std::ifstream(path, std::ios::binary).rdbuf();
    return std::move(bytes).str();
  }
  // What is there when it is opened first has been synchronised.
  const std::string* known(const std::string& path) {
    const auto [entry, first] = synced_.try_emplace(path);
    if (first) entry->second = bytes_of(path);
    return &entry->first;
  }

  // What is only handed on.
  static const sqlite3_io_methods* methods() {
    using F = sqlite3_file;
    static const sqlite3_io_methods made = {
        .iVersion = 2,
        .xClose = [](F* f) { return real_methods(f).xClose(real(f)); },
        .xRead = read,
        .xWrite = write,
        .xTruncate = truncate,
        .xSync = sync,
        .xFileSize = [](F* f, sqlite3_int64* s) { return real_methods(f).xFileSize(real(f), s); },
        .xLock = [](F* f, int how) { return real_methods(f).xLock(real(f), how); },
        .xUnlock = [](F* f, int how) { return real_methods(f).xUnlock(real(f), how); },
        .xCheckReservedLock =
            [](F* f, int* out) { return real_methods(f).xCheckReservedLock(real(f), out); },
        .xFileControl = [](F* f, int what,
                           void* p) { return real_methods(f).xFileControl(real(f), what, p); },
        .xSectorSize = [](F* f) { return real_methods(f).xSectorSize(real(f)); },
        .xDeviceCharacteristics =
            [](F* f) { return real_methods(f).xDeviceCharacteristics(real(f)); },
        .xShmMap =
            [](F* f, int page, int size, int extend, void volatile** out) {
              return real_methods(f).xShmMap(real(f), page, size, extend, out);
            },
        .xShmLock = [](F* f, int at, int n,
                       int flags) { return real_methods(f).xShmLock(real(f), at, n, flags); },
        .xShmBarrier = [](F* f) { real_methods(f).xShmBarrier(real(f)); },
        .xShmUnmap = [](F* f, int gone) { return real_methods(f).xShmUnmap(real(f), gone); },
        .xFetch = nullptr,
        .xUnfetch = nullptr,
    };
    return &made;
  }

  static inline FaultyVfs* now_ = nullptr;
  sqlite3_vfs* real_;
  sqlite3_vfs shim_{};
  Fault fault_;
  int64_t calls_ = 0;
  std::map<std::string, std::string> synced_;  // by path
};

}  // namespace egret::queue
