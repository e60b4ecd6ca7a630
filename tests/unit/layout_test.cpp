// SPDX-License-Identifier: MIT
// The symmetric heap's layout: nothing overlaps, everything is where kernels may read it.
#include "kernels/layout.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace llep {
namespace {

/// The host executor's stage, the smallest that kernels are launched with.
constexpr std::uint32_t kSmallestStage = 18 * 1024;

std::string text(const EpAxes& axes) {
  const MoeShape& s = axes.shape;
  return "R" + std::to_string(s.num_ranks) + "/E" + std::to_string(s.num_experts) + "/K" +
         std::to_string(s.num_topk) + "/H" + std::to_string(s.hidden) + "/T" +
         std::to_string(s.max_tokens) + "/" + to_string(axes.dtype) + "/" +
         to_string(axes.copies) + (axes.zero_copy ? "/zero-copy" : "");
}

/// f(axes) for every kind of window of one shape.
template <class F>
void for_each_kind(const MoeShape& shape, F f) {
  for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
    for (const auto copies : {DispatchCopies::kRank, DispatchCopies::kSelection}) {
      for (const bool zero_copy : {false, true}) {
        const EpAxes axes{
            .shape = shape, .dtype = dtype, .copies = copies, .zero_copy = zero_copy};
        SCOPED_TRACE(text(axes));
        f(axes);
      }
    }
  }
}

template <class F>
void for_each_shape(F f) {
  for (const int ranks : {1, 2, 3, 8, 72}) {
    for (const int local : {1, 3, 28}) {
      for (const int tokens : {1, 5, 1025}) {
        for (const int hidden : {128, 384, 512, 7168, 16256, 16384}) {
          for (const int topk : {1, 3, 9, 32}) {
            if (topk > ranks * local) continue;
            for_each_kind({.num_ranks = ranks,
                           .num_experts = ranks * local,
                           .max_tokens = tokens,
                           .hidden = hidden,
                           .num_topk = topk},
                          f);
          }
        }
      }
    }
  }
}

/// Bytes [begin, end) of the heap that one thing takes.
struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
  std::uint64_t end() const { return begin + bytes; }
};

bool inside(const Extent& inner, const HeapField& outer) {
  return inner.begin >= outer.offset && inner.end() <= outer.offset + outer.bytes;
}

const HeapField& field(const PlannedLayout& plan, const std::string& name) {
  const auto& fields = plan.fields.fields();
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [&](const HeapField& one) { return one.name == name; });
  if (found == fields.end()) throw std::out_of_range("no field " + name);
  return *found;
}

constexpr std::uint64_t kWord = sizeof(std::uint64_t);

/// Everything in one field that kernels address with one parity.
struct Things {
  std::string field;
  std::uint64_t alignment;
  std::vector<Extent> of_parity[2];
};

/// The values an index can take: all of them, or the first and the last.
std::vector<int> values(int n, bool all) {
  if (!all) return n > 1 ? std::vector<int>{0, n - 1} : std::vector<int>{0};
  std::vector<int> every;
  for (int i = 0; i < n; ++i) every.push_back(i);
  return every;
}

void add_dispatch(const EpLayout& layout, bool all, int parity, Things& window, Things& words) {
  auto& rows = window.of_parity[parity];
  for (const int source : values(layout.shape.num_ranks, all)) {
    for (const int token : values(layout.shape.max_tokens, all)) {
      for (const int copy : values(layout.slots_per_token(), all)) {
        const CopyPlace at{parity, source, token, copy};
        for (const int part : values(layout.num_parts(), all)) {
          rows.push_back({layout.dispatch_part(at, part), layout.part_bytes});
          if (layout.part_scale_bytes > 0) {
            rows.push_back({layout.dispatch_scales(at, part), layout.part_scale_bytes});
          }
          words.of_parity[parity].push_back({layout.dispatch_word(at, part), kWord});
        }
      }
    }
  }
}

std::vector<Things> things(const EpLayout& layout, bool all) {
  Things routing{"routing", 16, {}}, dispatch_begins{"dispatch begins", kWord, {}},
      combine_begins{"combine begins", kWord, {}}, window{"dispatch window", 16, {}}, row_words{"dispatch signals", kWord, {}},
      sums{"combine window", 16, {}}, sum_words{"combine signals", kWord, {}};
  for (const int parity : {0, 1}) {
    for (const int source : values(layout.shape.num_ranks, all)) {
      routing.of_parity[parity].push_back(
          {layout.routing_of(parity, source), layout.routing_pairs() * sizeof(TaggedPair)});
      dispatch_begins.of_parity[parity].push_back(
          {layout.begin_word(layout.dispatch_begins, parity, source), kWord});
      combine_begins.of_parity[parity].push_back(
          {layout.begin_word(layout.combine_begins, parity, source), kWord});
    }
    add_dispatch(layout, all, parity, window, row_words);
    for (const int token : values(layout.shape.max_tokens, all)) {
      for (const int k : values(layout.shape.num_topk, all)) {
        sums.of_parity[parity].push_back(
            {layout.combine_row(parity, token, k), layout.combine_row_bytes()});
        sum_words.of_parity[parity].push_back({layout.combine_word(parity, token, k), kWord});
      }
    }
  }
  return {routing, dispatch_begins, combine_begins, window, row_words, sums, sum_words};
}

TEST(Layout, fields_follow_each_other_without_overlap) {
  for_each_shape([](const EpAxes& axes) {
    const PlannedLayout plan = plan_layout(axes);
    std::uint64_t end = 0;
    for (const HeapField& one : plan.fields.fields()) {
      ASSERT_GE(one.offset, end) << one.name;
      ASSERT_EQ(one.offset % FieldList::kAlignment, 0U) << one.name;
      ASSERT_GT(one.bytes, 0U) << one.name;
      end = one.offset + one.bytes;
    }
    ASSERT_GE(plan.fields.total_bytes(), end);
  });
}

TEST(Layout, every_address_stays_in_its_field_and_buffer) {
  for_each_shape([](const EpAxes& axes) {
    const PlannedLayout plan = plan_layout(axes);
    for (const Things& kind : things(plan.layout, false)) {
      const HeapField& home = field(plan, kind.field);
      std::uint64_t even_end = 0;
      for (const Extent& one : kind.of_parity[0]) {
        ASSERT_TRUE(inside(one, home)) << kind.field;
        ASSERT_EQ(one.begin % kind.alignment, 0U) << kind.field;
        even_end = std::max(even_end, one.end());
      }
      for (const Extent& one : kind.of_parity[1]) {
        ASSERT_TRUE(inside(one, home)) << kind.field;
        ASSERT_EQ(one.begin % kind.alignment, 0U) << kind.field;
        ASSERT_GE(one.begin, even_end) << kind.field << ": the two buffers overlap";
      }
    }
  });
}

TEST(Layout, no_two_things_overlap) {
  for (const MoeShape& shape : {MoeShape{1, 1, 1, 128, 1}, MoeShape{2, 4, 3, 512, 3},
                                MoeShape{3, 3, 4, 384, 2}, MoeShape{2, 8, 2, 16384, 8}}) {
    for_each_kind(shape, [&](const EpAxes& axes) {
      const PlannedLayout plan = plan_layout(axes);
      std::vector<Extent> all;
      for (const Things& kind : things(plan.layout, true)) {
        for (const auto& extents : kind.of_parity) {
          all.insert(all.end(), extents.begin(), extents.end());
        }
      }
      all.push_back({plan.layout.meetings, static_cast<std::uint64_t>(shape.num_ranks) * kWord});
      if (axes.zero_copy) {
        all.push_back({plan.layout.expert_output,
                       static_cast<std::uint64_t>(axes.shape.capacity()) *
                           static_cast<std::uint64_t>(axes.shape.num_local_experts()) *
                           plan.layout.combine_row_bytes()});
      }
      std::ranges::sort(all, {}, &Extent::begin);
      for (std::size_t i = 1; i < all.size(); ++i) ASSERT_LE(all[i - 1].end(), all[i].begin);
      ASSERT_LE(all.back().end(), plan.fields.total_bytes());
    });
  }
}

TEST(Layout, sizes_are_those_of_the_axes) {
  for_each_shape([](const EpAxes& axes) {
    const EpLayout layout = plan_layout(axes).layout;
    const MoeShape& shape = axes.shape;
    const bool selections = axes.copies == DispatchCopies::kSelection;
    EXPECT_EQ(layout.shape, shape);
    EXPECT_EQ(layout.slots_per_token(),
              selections ? std::min(shape.num_topk, shape.num_local_experts()) : 1);
    EXPECT_GE(layout.routing_pairs() * 4,
              static_cast<std::uint32_t>(shape.max_tokens * shape.num_topk));
    EXPECT_EQ(layout.expert_output != 0, axes.zero_copy);
  });
}

TEST(Layout, parts_are_whole_groups_of_columns) {
  for (int hidden = kScaleGroup; hidden <= kMaxHidden; hidden += kScaleGroup) {
    for_each_kind({.num_ranks = 2, .num_experts = 2, .hidden = hidden}, [&](const EpAxes& axes) {
      const EpLayout layout = plan_layout(axes).layout;
      ASSERT_EQ(hidden % (layout.num_parts() * kScaleGroup), 0);
      const int columns = layout.part_columns();
      const bool fp8 = axes.dtype == DispatchDtype::kFp8;
      ASSERT_EQ(layout.part_bytes + (fp8 ? static_cast<std::uint32_t>(columns) / 32 : 0U),
                fp8 ? fp8_row_bytes(columns) : bf16_row_bytes(columns));
      ASSERT_GE(layout.part_scale_bytes, fp8 ? static_cast<std::uint32_t>(columns) / 32 : 0U);
      ASSERT_LT(layout.part_scale_bytes, static_cast<std::uint32_t>(columns) / 32 + 16);
      // Whole rows leave the window packed: their parts lie side by side.
      const auto parts = static_cast<std::uint32_t>(layout.num_parts());
      ASSERT_EQ(layout.row_bytes(), layout.part_bytes * parts);
    });
  }
}

TEST(Layout, an_fp8_row_fits_every_stage) {
  for (int hidden = kScaleGroup; hidden <= kMaxHidden; hidden += kScaleGroup) {
    for_each_kind({.num_ranks = 2, .num_experts = 2, .hidden = hidden}, [&](const EpAxes& axes) {
      const EpLayout layout = plan_layout(axes).layout;
      // The receive half takes fp8 rows whole: their scales are read from the stage.
      EXPECT_LE(layout.part_scale_bytes == 0 ? 0 : layout.window_stride(), kSmallestStage);
    });
  }
}

TEST(Layout, words_come_first_and_rows_behind_them) {
  for_each_kind(MoeShape{2, 2, 1, 128, 1}, [&](const EpAxes& axes) {
    const PlannedLayout plan = plan_layout(axes);
    const std::uint64_t end = plan.layout.words_end();
    for (const Things& kind : things(plan.layout, true)) {
      const bool word = !kind.field.ends_with("window");
      for (const auto& extents : kind.of_parity) {
        for (const Extent& one : extents) EXPECT_EQ(one.end() <= end, word) << kind.field;
      }
    }
  });
}

}  // namespace
}  // namespace llep
