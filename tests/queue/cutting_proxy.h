#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/queue/temp_folder.h"

namespace egret::queue {

// Stands between a store and its server, byte by byte, and cuts their connections as it is told.
class CuttingProxy {
 public:
  explicit CuttingProxy(std::string server_socket);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  // What a URI names as its host.
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }
  // Cuts when the store has sent these bytes: what it has sent arrives, no answer comes back.
  void cut_at_request(const std::string& bytes);
  // Cuts at the n-th read of the store's bytes from now, before it is passed on (1: the next).
  void cut_before_request(int number);
  [[nodiscard]] int cuts() const { return cuts_; }
  // Reads of the store's bytes so far.
  [[nodiscard]] int requests() const { return requests_; }
  // Nothing is let in, or it is again.
  void refuse(bool refuses) { refuses_ = refuses; }

 private:
  void accept_all();
  void serve(int client);
  bool pass_request(int client, int server);

  TempFolder folder_;
  std::string server_socket_;
  int listener_ = -1;
  std::mutex mutex_;
  std::string cut_at_;
  int cut_before_ = 0;
  std::atomic<int> cuts_ = 0, requests_ = 0;
  std::atomic<bool> refuses_ = false, stopping_ = false;
  std::vector<std::thread> connections_;
  std::thread thread_;
};

}  // namespace egret::queue
