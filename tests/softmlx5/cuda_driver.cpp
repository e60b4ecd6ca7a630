// SPDX-License-Identifier: MIT
#include "tests/softmlx5/cuda_driver.hpp"

#include <dlfcn.h>

#include "tests/softmlx5/log.hpp"

namespace softmlx5 {

namespace {

class Loader {
 public:
  explicit Loader(void* library) : library_(library) {}

  template <class Function>
  void find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(::dlsym(library_, name));
  }
  template <class Function>
  void need(Function*& function, const char* name) {
    find(function, name);
    if (function != nullptr) return;
    log_line("libcuda has no {}: GPU memory cannot be registered", name);
    complete_ = false;
  }
  bool complete() const { return complete_; }

 private:
  void* library_;
  bool complete_ = true;
};

bool load(CudaDriver& driver, void* library) {
  Loader loader(library);
  loader.need(driver.pointer_attribute, "cuPointerGetAttribute");
  loader.need(driver.set_context, "cuCtxSetCurrent");
  loader.need(driver.push_context, "cuCtxPushCurrent_v2");
  loader.need(driver.pop_context, "cuCtxPopCurrent_v2");
  loader.need(driver.priority_range, "cuCtxGetStreamPriorityRange");
  loader.need(driver.create_stream, "cuStreamCreateWithPriority");
  loader.need(driver.query_stream, "cuStreamQuery");
  loader.need(driver.copy_to_host, "cuMemcpyDtoHAsync_v2");
  loader.need(driver.copy_to_device, "cuMemcpyHtoDAsync_v2");
  loader.need(driver.register_host, "cuMemHostRegister_v2");
  loader.need(driver.device_pointer, "cuMemHostGetDevicePointer_v2");
  loader.need(driver.write_values, "cuStreamBatchMemOp_v2");
  loader.need(driver.get_device, "cuDeviceGet");
  loader.need(driver.get_uuid, "cuDeviceGetUuid_v2");
  loader.need(driver.retain_primary_context, "cuDevicePrimaryCtxRetain");
  loader.find(driver.copy_batch, "cuMemcpyBatchAsync_v2");
  return loader.complete();
}

}  // namespace

const CudaDriver* CudaDriver::find() {
  // Not kept while the answer is no: the program may load the library later.
  void* library = ::dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return nullptr;
  static CudaDriver driver = {};
  static const bool complete = load(driver, library);
  return complete ? &driver : nullptr;
}

}  // namespace softmlx5
