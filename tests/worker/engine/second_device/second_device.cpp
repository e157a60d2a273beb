// A second device for tests: host memory under another name, of which there is no more than a file says.
//
// It computes on the processor (torch's own fallback), so results are the processor's, to the byte; but what is on it
// is not on the host, what does not fit raises torch.OutOfMemoryError, and tensors of two devices do not mix.

#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <atomic>
#include <cstring>
#include <optional>

namespace {

constexpr auto KIND = c10::DeviceType::PrivateUse1;
std::atomic<int64_t> used{0}, peak{0};
const volatile int64_t* capacity = nullptr;  // In a file that the test writes; without one there is no end.

// ---------------------------------------------------------------- memory

struct Block {
  void* data;
  int64_t size;
};

void give_back(void* context) {
  auto* block = static_cast<Block*>(context);
  used -= block->size;
  c10::free_cpu(block->data);
  delete block;
}

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    const auto size = static_cast<int64_t>(bytes);
    if (capacity && used + size > *capacity)
      TORCH_CHECK_WITH(OutOfMemoryError, false, "second device out of memory. Tried to allocate ", bytes / 1048576.0,
                       " MiB.");
    used += size;
    if (used > peak) peak = used.load();
    void* data = bytes ? c10::alloc_cpu(bytes) : nullptr;
    return {data, new Block{data, size}, &give_back, c10::Device(KIND, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
};

Memory memory;

// ---------------------------------------------------------------- the device, as torch asks for it

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static constexpr c10::DeviceType static_type = KIND;
  c10::DeviceType type() const override { return KIND; }
  c10::Device exchangeDevice(c10::Device) const override { return getDevice(); }
  c10::Device getDevice() const override { return c10::Device(KIND, 0); }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return c10::Stream(c10::Stream::DEFAULT, getDevice()); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void synchronizeDevice(c10::DeviceIndex) const override {}
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
};

// ---------------------------------------------------------------- tensors

using Sizes = at::IntArrayRef;
using Layout = std::optional<at::Layout>;
using Type = std::optional<at::ScalarType>;
using Where = std::optional<at::Device>;

at::Tensor empty(Sizes sizes, Type type, Layout, Where, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(Sizes sizes, Sizes strides, Type type, Layout, Where, std::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(type));
}

// The same memory, for the processor to compute on.
at::Tensor on_host(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), tensor.options().device(at::kCPU));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  if (to.numel()) on_host(to).copy_(on_host(from));
  return to;
}

const at::Tensor& resize(const at::Tensor& tensor, Sizes sizes, std::optional<at::MemoryFormat>) {
  auto* inside = tensor.unsafeGetTensorImpl();
  inside->set_sizes_contiguous(sizes);
  const size_t wanted = (inside->storage_offset() + inside->numel()) * inside->dtype().itemsize();
  const auto& storage = inside->unsafe_storage();
  if (storage.nbytes() < wanted) {
    auto larger = memory.allocate(wanted);
    if (storage.nbytes()) std::memcpy(larger.get(), storage.data(), storage.nbytes());
    storage.unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(larger));
    storage.unsafeGetStorageImpl()->set_nbytes(wanted);
  }
  return tensor;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.numel() != from.numel()) resize(to, from.sizes(), std::nullopt);
  return copy_from(from, to, false);
}

at::Tensor& set_source(at::Tensor& tensor, at::Storage source, int64_t offset, Sizes sizes, Sizes strides) {
  auto* inside = tensor.unsafeGetTensorImpl();
  inside->set_storage_keep_dtype(std::move(source));
  inside->set_storage_offset(offset);
  if (strides.empty())
    inside->set_sizes_contiguous(sizes);
  else
    inside->set_sizes_and_strides(sizes, strides);
  return tensor;
}

at::Scalar value_of(const at::Tensor& tensor) { return on_host(tensor).item(); }

at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       Sizes stride, Sizes padding, Sizes dilation, bool transposed, Sizes output_padding,
                       int64_t groups) {
  TORCH_CHECK(input.device() == weight.device(), "Expected all tensors to be on the same device, but found ",
              input.device(), " and ", weight.device());
  std::optional<at::Tensor> shift;
  if (bias && bias->defined()) shift = on_host(*bias);
  return at::convolution(on_host(input), on_host(weight), shift, stride, padding, dilation, transposed, output_padding,
                         groups)
      .to(input.device());
}

void on_processor(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  at::native::cpu_fallback(operation, stack);
}

}  // namespace

REGISTER_ALLOCATOR(KIND, &memory);
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_processor>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("resize_", &resize);
  library.impl("set_.source_Storage_storage_offset", &set_source);
  library.impl("_local_scalar_dense", &value_of);
  library.impl("convolution_overrideable", &convolution);
  library.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  library.impl("view", TORCH_FN(at::native::view));
  library.impl("unfold", TORCH_FN(at::native::unfold));
  library.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
}

extern "C" {
void use_capacity(const int64_t* bytes) {
  capacity = bytes;
  at::RegisterPrivateUse1HooksInterface(new Hooks);
}
int64_t used_bytes() { return used; }
int64_t peak_bytes() { return peak; }
void reset_peak() { peak = used.load(); }
}
