// SPDX-License-Identifier: MIT
#include "transport/fifo/mpi_wire.hpp"

#include <mpi.h>
#if __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

#include <cstring>
#include <deque>
#include <optional>

#include "common/mpi_session.hpp"
#include "transport/fifo/mpi_requests.hpp"

namespace llep {

namespace {

constexpr int kHeaderTag = 0;
constexpr int kRowTag = 1;
constexpr std::size_t kHeaderBytes = 16 * 1024;
constexpr std::size_t kNumHeaders = 64;          // on their way, of one proxy
constexpr std::size_t kMostRows = 1024;          // on their way, of one proxy
constexpr std::uint32_t kMostInline = kMostWordBytes;  // bytes that travel behind their record

/// A header message is the number of its bytes (64 bits) and records; a row message a row.
constexpr std::size_t kFirstRecord = sizeof(std::uint64_t);

/// A descriptor as it travels; inline data follows at once, padded to 8 bytes.
struct Record {
  std::uint32_t kind = 0;
  std::uint32_t bytes = 0;  // written at `to`
  std::uint64_t to = 0;
  std::uint64_t value = 0;  // of a signal
};

std::size_t padded(std::uint32_t bytes) { return (std::size_t{bytes} + 7) / 8 * 8; }

/// Why the contract holds: all work for one peer goes through one communicator, its records in the
/// order given. Headers of one source are received one at a time, so they are read in that order;
/// rows have one tag, so they match the receives that records post, in order as well (MPI-3.1 3.5).
/// Completion is not ordered: a signal is stored only once every receive that the source's earlier
/// records posted has completed. Inline bytes are copied when their record is read, before any later
/// record. What this thread has copied or received is there for who then sees a word it stores:
/// WordWriter's promise. Rows in GPU memory never travel inline: MPI alone reads and writes them.
class MpiWire final : public ProxyWire {
 public:
  MpiWire(UniqueMpiComm comm, int rank, int num_ranks, const FarHeap& heap)
      : comm_(std::move(comm)),
        heap_(heap),
        words_(heap.device->word_writer()),
        open_(static_cast<std::size_t>(num_ranks)),
        sources_(static_cast<std::size_t>(num_ranks)),
        headers_(kNumHeaders) {
    for (std::size_t i = 0; i < kNumHeaders; ++i) free_headers_.push_back(i);
    for (int peer = 0; peer < num_ranks; ++peer) {
      if (peer != rank) receive_header(peer);
    }
  }
  ~MpiWire() override { requests_.cancel(); }

  std::size_t post(std::span<const Work> work) override;
  std::uint64_t progress() override;

 private:
  struct Header {
    std::vector<std::byte> data = std::vector<std::byte>(kHeaderBytes);
    std::size_t used = kFirstRecord;
  };
  struct PendingSignal {
    std::uint64_t after = 0;  // receives of the source
    std::uint64_t to = 0;
    std::uint64_t value = 0;
  };
  struct Source {
    std::vector<std::byte> header = std::vector<std::byte>(kHeaderBytes);
    InOrder rows;
    std::deque<PendingSignal> signals;
  };
  struct Row {
    Descriptor what;
    std::uint64_t number = 0;
  };

  bool travels_inline(DescriptorKind kind, std::uint32_t bytes) const {
    return kind == DescriptorKind::kWords ||
           (kind == DescriptorKind::kPut && bytes <= kMostInline && !heap_.device_memory);
  }
  bool append(const Descriptor& what);
  void send_headers();
  void send_header(int peer);
  void send_rows();
  void receive_header(int peer);
  void read_header(int peer);
  void read_record(int peer, const Record& record, const std::byte* data);
  void store_signals(Source& source);
  void completed(const MpiToken& token);

  UniqueMpiComm comm_;
  FarHeap heap_;
  std::unique_ptr<WordWriter> words_;
  MpiRequests requests_;
  // Sending.
  std::vector<std::optional<std::size_t>> open_;  // [num_ranks] header being filled
  std::vector<Row> rows_;                         // of this post
  InOrder sent_;
  std::deque<std::uint64_t> ends_;  // of work from sent_.first_open() on
  std::uint64_t ends_first_ = 0;
  std::uint64_t completed_ = 0;
  // Receiving.
  std::vector<Source> sources_;  // [num_ranks]
  std::vector<Header> headers_;
  std::vector<std::size_t> free_headers_;
};

std::size_t MpiWire::post(std::span<const Work> work) {
  std::size_t taken = 0;
  for (; taken < work.size() && sent_.next() - sent_.first_open() < kMostRows; ++taken) {
    const Descriptor& what = work[taken].what;
    if (!append(what)) break;
    const bool inlined =
        what.kind == DescriptorKind::kSignal || travels_inline(what.kind, what.bytes);
    const std::uint64_t number = sent_.add(inlined);
    ends_.push_back(work[taken].end);
    if (!inlined) rows_.push_back({.what = what, .number = number});
  }
  send_headers();
  send_rows();
  return taken;
}

/// False: no header is free.
bool MpiWire::append(const Descriptor& what) {
  const bool inlined = travels_inline(what.kind, what.bytes);
  const std::size_t need = sizeof(Record) + (inlined ? padded(what.bytes) : 0);
  auto& open = open_[static_cast<std::size_t>(what.peer)];
  if (open && headers_[*open].used + need > kHeaderBytes) send_header(what.peer);
  if (!open) {
    if (free_headers_.empty()) return false;
    open = free_headers_.back();
    free_headers_.pop_back();
    headers_[*open].used = kFirstRecord;
  }
  Header& header = headers_[*open];
  const bool signals = what.kind == DescriptorKind::kSignal;
  const Record record{.kind = static_cast<std::uint32_t>(what.kind),
                      .bytes = signals ? std::uint32_t{sizeof what.from} : what.bytes,
                      .to = what.to,
                      .value = signals ? what.from : 0};
  std::byte* at = header.data.data() + header.used;
  std::memcpy(at, &record, sizeof record);
  const std::byte* from = what.kind == DescriptorKind::kWords ? heap_.posted : heap_.base;
  if (inlined) std::memcpy(at + sizeof record, from + what.from, what.bytes);
  header.used += need;
  return true;
}

void MpiWire::send_headers() {
  for (int peer = 0; peer < static_cast<int>(open_.size()); ++peer) {
    if (open_[static_cast<std::size_t>(peer)]) send_header(peer);
  }
}

void MpiWire::send_header(int peer) {
  auto& open = open_[static_cast<std::size_t>(peer)];
  Header& header = headers_[*open];
  const std::uint64_t used = header.used;
  std::memcpy(header.data.data(), &used, sizeof used);
  check_message(MPI_Isend(header.data.data(), static_cast<int>(header.used), MPI_BYTE, peer,
                          kHeaderTag, comm_.get(),
                          requests_.add({MpiToken::Kind::kHeaderSent, peer, *open})),
                "MPI_Isend", peer);
  open.reset();
}

/// Behind their headers: a row that nobody expects yet is copied once more.
void MpiWire::send_rows() {
  for (const Row& row : rows_) {
    const int peer = row.what.peer;
    check_message(MPI_Isend(heap_.base + row.what.from, static_cast<int>(row.what.bytes), MPI_BYTE,
                            peer, kRowTag, comm_.get(),
                            requests_.add({MpiToken::Kind::kRowSent, peer, row.number})),
                  "MPI_Isend", peer);
  }
  rows_.clear();
}

std::uint64_t MpiWire::progress() {
  requests_.test([&](const MpiToken& token) { completed(token); });
  words_->flush();
  for (; ends_first_ < sent_.first_open(); ++ends_first_) {
    completed_ = ends_.front();
    ends_.pop_front();
  }
  return completed_;
}

void MpiWire::completed(const MpiToken& token) {
  Source& source = sources_[static_cast<std::size_t>(token.peer)];
  switch (token.kind) {
    case MpiToken::Kind::kHeaderSent:
      free_headers_.push_back(static_cast<std::size_t>(token.number));
      break;
    case MpiToken::Kind::kRowSent: sent_.complete(token.number); break;
    case MpiToken::Kind::kHeaderReceived:
      read_header(token.peer);
      receive_header(token.peer);
      break;
    case MpiToken::Kind::kRowReceived:
      source.rows.complete(token.number);
      store_signals(source);
      break;
  }
}

void MpiWire::receive_header(int peer) {
  Source& source = sources_[static_cast<std::size_t>(peer)];
  check_message(MPI_Irecv(source.header.data(), static_cast<int>(kHeaderBytes), MPI_BYTE, peer,
                          kHeaderTag, comm_.get(),
                          requests_.add({MpiToken::Kind::kHeaderReceived, peer, 0})),
                "MPI_Irecv", peer);
}

void MpiWire::read_header(int peer) {
  const std::byte* data = sources_[static_cast<std::size_t>(peer)].header.data();
  std::uint64_t used = 0;
  std::memcpy(&used, data, sizeof used);
  for (std::size_t at = kFirstRecord; at < used;) {
    Record record;
    std::memcpy(&record, data + at, sizeof record);
    at += sizeof record;
    if (record.to + record.bytes > heap_.bytes) {
      throw Error(ExitCode::kInternal, "wire mpi: rank " + std::to_string(peer) + " puts " +
                                           std::to_string(record.bytes) + " bytes at " +
                                           std::to_string(record.to) + ", behind a heap of " +
                                           std::to_string(heap_.bytes));
    }
    read_record(peer, record, data + at);
    if (travels_inline(static_cast<DescriptorKind>(record.kind), record.bytes)) {
      at += padded(record.bytes);
    }
  }
}

void MpiWire::read_record(int peer, const Record& record, const std::byte* data) {
  Source& source = sources_[static_cast<std::size_t>(peer)];
  const auto kind = static_cast<DescriptorKind>(record.kind);
  if (kind == DescriptorKind::kSignal) {
    source.signals.push_back(
        {.after = source.rows.next(), .to = record.to, .value = record.value});
    store_signals(source);
  } else if (kind == DescriptorKind::kWords) {
    words_->copy(heap_.words + record.to, data, record.bytes);
  } else if (travels_inline(kind, record.bytes)) {
    std::memcpy(heap_.base + record.to, data, record.bytes);
  } else {
    const std::uint64_t number = source.rows.add(false);
    check_message(MPI_Irecv(heap_.base + record.to, static_cast<int>(record.bytes), MPI_BYTE, peer,
                            kRowTag, comm_.get(),
                            requests_.add({MpiToken::Kind::kRowReceived, peer, number})),
                  "MPI_Irecv", peer);
  }
}

void MpiWire::store_signals(Source& source) {
  auto& signals = source.signals;
  for (; !signals.empty() && signals.front().after <= source.rows.first_open();
       signals.pop_front()) {
    words_->store(heap_.words + signals.front().to, signals.front().value);
  }
}

}  // namespace

bool mpi_moves_gpu_memory() {
#if defined(MPIX_CUDA_AWARE_SUPPORT)
  return MPIX_Query_cuda_support() == 1;
#else
  return false;
#endif
}

ProxyWires make_mpi_wires(Communicator& world, const FarHeap& heap, const ChannelMap& map) {
  auto& mpi = dynamic_cast<MpiCommunicator&>(world);
  collectively(world, [&] {
    int provided = MPI_THREAD_SINGLE;
    check_mpi(MPI_Query_thread(&provided), "MPI_Query_thread");
    if (provided < MPI_THREAD_MULTIPLE) {
      throw Error(ExitCode::kUnavailable,
                  "wire mpi: this MPI does not let several threads call it at once; one with "
                  "MPI_THREAD_MULTIPLE is needed");
    }
    if (heap.device_memory) heap.device->check_adapter_writes();  // MPI may let one write rows
  });
  ProxyWires made{.wires = {}, .description = "wire mpi", .stand_ins = {}};
  for (int p = 0; p < map.num_proxies; ++p) {
    made.wires.push_back(std::make_unique<MpiWire>(duplicate(mpi.handle()), world.rank(),
                                                   world.size(), heap));
  }
  world.barrier();  // nobody sends before all receive
  return made;
}

}  // namespace llep
