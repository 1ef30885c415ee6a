/* The table behind objects and sets.
 *
 * Up to RT_TABLE_SMALL entries are searched by their hashes; more get an open-addressing index at most half full. Inserting
 * never moves entries; the first reader that needs Rego order sorts once (merge sort) and the index is made again.
 */
#include "table.h"

rt_table *table_new(uint8_t tag, size_t capacity) {
    size_t words = tag == RT_OBJECT ? 2 : 1, bytes;
    if (capacity > UINT32_MAX / 8 || __builtin_mul_overflow(capacity, words * sizeof(rt_v), &bytes) ||
        bytes > SIZE_MAX / 2)
        rt_abort(RT_ERR_MEMORY, "an object or set is too large");
    rt_table *t = rt_alloc(sizeof *t + bytes);
    *t = (rt_table){
        .head = {tag, 0, RT_FLAG_SORTED, 0}, .cap = (uint32_t)capacity, .items = (rt_v *)(void *)(t + 1)};
    return t;
}

rt_table *table_copy(const rt_table *t, size_t extra) {
    rt_table *out = table_new(t->head.tag, t->len + extra);
    out->head.flags = t->head.flags;
    out->len = t->len;
    memcpy(out->items, t->items, t->len * table_stride(t) * sizeof *t->items);
    if (t->index) {
        size_t slots = (size_t)t->mask + 1;
        out->index = rt_alloc_array(slots, sizeof *out->index);
        memcpy(out->index, t->index, slots * sizeof *out->index);
        out->mask = t->mask;
    }
    return out;
}

rt_v rt_table_copy(const rt_value *table, uint32_t extra) { return &table_copy(table_of(table), extra)->head; }

/* ---- an index by order, for tables whose keys were made to have the same hash ----
 *
 * Keys that an attacker chose would make every insertion a walk over all that came before. So a table in which one is far
 * from the place of its hash (by chance: once in 10^10) goes over to order, for good. Its index holds entry numbers in
 * sorted runs, one for each bit of `len`, the longest first: a new entry is a run of one, and runs of equal length are
 * merged. Finding takes a binary search in each run.
 */

#define PROBE_MAX 128

static void merge_runs(rt_table *t, uint32_t start, uint32_t size) {
    size_t stride = table_stride(t);
    /* Not given back: comparing may sort a table that is a key, which may allocate what stays. */
    uint32_t *left = rt_alloc_array(size, sizeof *left);
    memcpy(left, t->index + start, size * sizeof *left);
    uint32_t *out = t->index + start;
    const uint32_t *right = out + size, *right_end = right + size, *left_end = left + size;
    for (const uint32_t *a = left; a < left_end;) {
        bool first = right == right_end || rt_compare(t->items[*a * stride], t->items[*right * stride]) < 0;
        *out++ = first ? *a++ : *right++;
    }
}

/* Adds entry number `entry`, the one behind those that are in the index. */
static void ordered_add(rt_table *t, uint32_t entry) {
    if (entry > t->mask) {
        size_t slots = ((size_t)t->mask + 1) * 2;
        uint32_t *index = rt_alloc_array(slots, sizeof *index);
        memcpy(index, t->index, (size_t)entry * sizeof *index);
        t->index = index;
        t->mask = (uint32_t)(slots - 1);
    }
    t->index[entry] = entry;
    uint32_t start = entry;
    for (uint32_t size = 1; entry & size; size *= 2) {
        start -= size;
        merge_runs(t, start, size);
    }
}

static void ordered_reindex(rt_table *t) {
    bool sorted = (t->head.flags & RT_FLAG_SORTED) != 0;
    for (uint32_t i = 0; i < t->len; i++) {
        if (sorted)
            t->index[i] = i;
        else
            ordered_add(t, i);
    }
}

static void become_ordered(rt_table *t) {
    size_t slots = 32;
    while (slots < t->len) slots *= 2;
    t->head.flags |= RT_FLAG_ORDERED;
    t->index = rt_alloc_array(slots, sizeof *t->index);
    t->mask = (uint32_t)(slots - 1);
    ordered_reindex(t);
}

static uint32_t ordered_find(const rt_table *t, rt_v key, int depth) {
    size_t stride = table_stride(t);
    const uint32_t *run = t->index;
    for (uint32_t size = (uint32_t)1 << 31; size; size >>= 1) {
        if (!(t->len & size)) continue;
        for (uint32_t low = 0, high = size; low < high;) {
            uint32_t middle = low + (high - low) / 2;
            int order = rt_compare_at(t->items[run[middle] * stride], key, depth);
            if (order == 0) return run[middle];
            if (order < 0)
                low = middle + 1;
            else
                high = middle;
        }
        run += size;
    }
    return TABLE_NONE;
}

/* ---- the index by hashes ---- */

/* False when the entry would be too far from its place. */
static bool index_add(rt_table *t, uint32_t hash, uint32_t entry) {
    uint32_t at = hash & t->mask;
    for (uint32_t steps = 0; t->index[at]; at = (at + 1) & t->mask)
        if (RT_UNLIKELY(++steps > PROBE_MAX)) return false;
    t->index[at] = entry + 1;
    return true;
}

void table_reindex(rt_table *t) {
    if (RT_UNLIKELY(t->head.flags & RT_FLAG_ORDERED)) {
        ordered_reindex(t);
        return;
    }
    size_t stride = table_stride(t);
    memset(t->index, 0, ((size_t)t->mask + 1) * sizeof *t->index);
    for (uint32_t i = 0; i < t->len; i++) {
        if (RT_UNLIKELY(!index_add(t, rt_hash_of(t->items[i * stride]), i))) {
            become_ordered(t);
            return;
        }
    }
}

static void index_grow(rt_table *t, size_t entries) {
    size_t slots = 32;
    while (slots < entries * 2) slots *= 2;
    t->index = rt_alloc_array(slots, sizeof *t->index);
    t->mask = (uint32_t)(slots - 1);
    table_reindex(t);
}

uint32_t table_find_at(const rt_table *t, rt_v key, int depth) {
    size_t stride = table_stride(t);
    uint32_t hash = rt_hash_of(key);
    if (!t->index) {
        for (uint32_t i = 0; i < t->len; i++) {
            rt_v have = t->items[i * stride];
            if (have == key || (rt_hash_of(have) == hash && rt_equal_at(have, key, depth))) return i;
        }
        return TABLE_NONE;
    }
    if (RT_UNLIKELY(t->head.flags & RT_FLAG_ORDERED)) return ordered_find(t, key, depth);
    for (uint32_t at = hash & t->mask; t->index[at]; at = (at + 1) & t->mask) {
        uint32_t i = t->index[at] - 1;
        rt_v have = t->items[i * stride];
        if (have == key || (rt_hash_of(have) == hash && rt_equal_at(have, key, depth))) return i;
    }
    return TABLE_NONE;
}

uint32_t table_find(const rt_table *t, rt_v key) { return table_find_at(t, key, 0); }

static void items_grow(rt_table *t) {
    if (t->cap > UINT32_MAX / 16) rt_abort(RT_ERR_MEMORY, "an object or set is too large");
    size_t stride = table_stride(t);
    uint32_t cap = t->cap < 4 ? 8 : t->cap * 2;
    rt_v *items = rt_alloc_array(cap * stride, sizeof *items);
    memcpy(items, t->items, t->len * stride * sizeof *items);
    t->items = items;
    t->cap = cap;
}

uint32_t table_insert(rt_table *t, rt_v key, bool *added) {
    uint32_t entry = table_find(t, key);
    t->head.hash = 0;
    *added = entry == TABLE_NONE;
    if (!*added) return entry;
    size_t stride = table_stride(t);
    if (t->len == t->cap) items_grow(t);
    entry = t->len++;
    t->items[entry * stride] = key;
    if ((t->head.flags & RT_FLAG_SORTED) && entry > 0 && rt_compare(t->items[(entry - 1) * stride], key) > 0)
        t->head.flags &= (uint16_t)~RT_FLAG_SORTED;
    if (RT_UNLIKELY(t->head.flags & RT_FLAG_ORDERED)) {
        ordered_add(t, entry);
    } else if (t->index && (size_t)t->len * 2 <= (size_t)t->mask + 1) {
        if (RT_UNLIKELY(!index_add(t, rt_hash_of(key), entry))) become_ordered(t);
    } else if (t->index || t->len > RT_TABLE_SMALL)
        index_grow(t, t->cap > t->len ? t->cap : t->len);
    return entry;
}

/* ---- order ---- */

#define RUN 8

static void move_entry(rt_v *to, const rt_v *from, size_t stride) {
    to[0] = from[0];
    if (stride == 2) to[1] = from[1];
}

static void insertion_sort(rt_v *items, size_t count, size_t stride) {
    for (size_t i = 1; i < count; i++) {
        rt_v entry[2] = {0, 0};
        move_entry(entry, items + i * stride, stride);
        size_t at = i;
        for (; at > 0 && rt_compare(items[(at - 1) * stride], entry[0]) > 0; at--)
            move_entry(items + at * stride, items + (at - 1) * stride, stride);
        move_entry(items + at * stride, entry, stride);
    }
}

static void merge(const rt_v *from, rt_v *to, size_t low, size_t middle, size_t high, size_t stride) {
    size_t a = low, b = middle;
    for (size_t i = low; i < high; i++) {
        bool left = a < middle && (b >= high || rt_compare(from[a * stride], from[b * stride]) <= 0);
        move_entry(to + i * stride, from + (left ? a++ : b++) * stride, stride);
    }
}

void rt_table_sort(rt_v table) {
    rt_table *t = table_of(table);
    size_t count = t->len, stride = table_stride(t);
    if (t->head.flags & RT_FLAG_SORTED) return;
    for (size_t low = 0; low < count; low += RUN)
        insertion_sort(t->items + low * stride, count - low < RUN ? count - low : RUN, stride);
    if (count > RUN) {
        rt_v *from = t->items, *to = rt_alloc_array(count * stride, sizeof *to);
        for (size_t width = RUN; width < count; width *= 2) {
            for (size_t low = 0; low < count; low += 2 * width) {
                size_t middle = low + width < count ? low + width : count;
                size_t high = middle + width < count ? middle + width : count;
                merge(from, to, low, middle, high, stride);
            }
            rt_v *swap = from;
            from = to;
            to = swap;
        }
        /* Back into the table's own block: the scratch block may be above a heap mark that a host resets to. */
        if (from != t->items) memcpy(t->items, from, count * stride * sizeof *from);
    }
    t->head.flags |= RT_FLAG_SORTED;
    if (t->index) table_reindex(t);
}
