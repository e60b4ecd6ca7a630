// SPDX-License-Identifier: MIT
#include "common/exec/host_pages.hpp"

#include <set>
#include <stdexcept>

#include <gtest/gtest.h>

namespace llep {
namespace {

constexpr std::size_t kPage = 64 * 1024;

const std::byte* at(std::uintptr_t address) { return reinterpret_cast<const std::byte*>(address); }

/// A device that complains like CUDA: of a page that it knows already, of one that it does not
/// know.
struct Device {
  std::set<std::byte*> known;
  std::byte* refused = nullptr;
  HostPages pages{kPage,
                  [this](std::byte* page, std::size_t bytes) {
                    EXPECT_EQ(bytes, kPage);
                    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(page) % kPage, 0U);
                    if (page == refused) throw std::runtime_error("refused");
                    EXPECT_TRUE(known.insert(page).second) << "registered twice";
                  },
                  [this](std::byte* page, std::size_t) {
                    EXPECT_EQ(known.erase(page), 1U) << "was not registered";
                  }};
};

TEST(HostPages, objects_on_one_page_share_it_until_the_last_is_gone) {
  Device device;
  device.pages.acquire(at(kPage + 64), 8);
  device.pages.acquire(at(kPage + 128), 8);
  EXPECT_EQ(device.known.size(), 1U);
  device.pages.release(at(kPage + 64), 8);
  EXPECT_EQ(device.known.size(), 1U) << "the second object lies there still";
  device.pages.release(at(kPage + 128), 8);
  EXPECT_TRUE(device.known.empty());
}

TEST(HostPages, an_object_takes_every_page_that_it_touches) {
  Device device;
  device.pages.acquire(at(2 * kPage - 8), kPage + 16);
  EXPECT_EQ(device.known.size(), 3U);
  device.pages.acquire(at(2 * kPage), kPage);
  EXPECT_EQ(device.known.size(), 3U);
  device.pages.release(at(2 * kPage - 8), kPage + 16);
  EXPECT_EQ(device.known.size(), 1U);
  device.pages.release(at(2 * kPage), kPage);
  EXPECT_EQ(device.pages.num_pages(), 0U);
}

TEST(HostPages, a_refusal_leaves_nothing_behind) {
  Device device;
  device.pages.acquire(at(kPage), 8);
  device.refused = reinterpret_cast<std::byte*>(3 * kPage);
  EXPECT_THROW(device.pages.acquire(at(kPage), 3 * kPage), std::runtime_error);
  EXPECT_EQ(device.known.size(), 1U);
  device.pages.release(at(kPage), 8);
  EXPECT_TRUE(device.known.empty());
}

TEST(HostPages, pages_are_those_of_the_machine) {
  EXPECT_EQ(system_page_bytes() % 4096, 0U);
  EXPECT_GT(system_page_bytes(), 0U);
}

}  // namespace
}  // namespace llep
