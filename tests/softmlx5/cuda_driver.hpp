// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace softmlx5 {

/// What the twin uses of libcuda, spelled out from cuda.h (CUDA 12.0 to 13.0): it is built without
/// CUDA, and finds the functions in the library that the program itself has loaded.
struct CudaDriver {
  using Result = int;
  using Address = std::uint64_t;
  using Context = void*;
  using Stream = void*;

  static constexpr Result kDeinitialized = 4;
  static constexpr Result kNotReady = 600;
  static constexpr Result kContextDestroyed = 709;
  // CU_POINTER_ATTRIBUTE_*
  static constexpr int kContextOf = 1;
  static constexpr int kMemoryType = 2;
  static constexpr int kIsManaged = 8;
  static constexpr int kDeviceOrdinal = 9;
  static constexpr unsigned kMemoryTypeDevice = 2;
  static constexpr unsigned kNonBlocking = 1;   // CU_STREAM_NON_BLOCKING
  static constexpr unsigned kPortable = 1;      // CU_MEMHOSTREGISTER_PORTABLE
  static constexpr unsigned kDeviceMapped = 2;  // CU_MEMHOSTREGISTER_DEVICEMAP

  /// CUmemcpyAttributes
  struct CopyAttributes {
    struct Location {
      int type = 0;
      int id = 0;
    };
    int source_order = 1;  // CU_MEMCPY_SRC_ACCESS_ORDER_STREAM
    Location source;
    Location destination;
    unsigned flags = 0;
  };
  /// CUstreamBatchMemOpParams of a value write
  struct ValueWrite {
    static constexpr int k32 = 2;
    static constexpr int k64 = 5;
    int operation = k64;
    Address address = 0;
    std::uint64_t value = 0;
    unsigned flags = 0;
    Address alias = 0;
    std::uint64_t padding = 0;
  };
  static_assert(sizeof(ValueWrite) == 48);

  Result (*pointer_attribute)(void* value, int attribute, Address address);
  Result (*set_context)(Context context);
  Result (*push_context)(Context context);
  Result (*pop_context)(Context* context);
  Result (*priority_range)(int* least, int* greatest);
  Result (*create_stream)(Stream* stream, unsigned flags, int priority);
  Result (*query_stream)(Stream stream);
  Result (*copy_to_host)(void* to, Address from, std::size_t bytes, Stream stream);
  Result (*copy_to_device)(Address to, const void* from, std::size_t bytes, Stream stream);
  Result (*register_host)(void* memory, std::size_t bytes, unsigned flags);
  Result (*device_pointer)(Address* pointer, void* memory, unsigned flags);
  Result (*write_values)(Stream stream, unsigned count, ValueWrite* writes, unsigned flags);
  Result (*get_device)(int* device, int ordinal);
  Result (*get_uuid)(void* uuid, int device);
  Result (*retain_primary_context)(Context* context, int device);
  /// Null before CUDA 13.0.
  Result (*copy_batch)(Address* to, Address* from, std::size_t* bytes, std::size_t count,
                       CopyAttributes* attributes, std::size_t* first_of_attributes,
                       std::size_t num_attributes, Stream stream);

  /// Null: the program has not loaded libcuda (yet), or one without these functions.
  static const CudaDriver* find();
};

}  // namespace softmlx5
