/* Rego's order, equality and hashes over all values: null < boolean < number < string < array < object < set.
 *
 * Nested values are followed by recursion with a counter; deeper than RT_VALUE_DEPTH_MAX ends the evaluation.
 */
#include "order.h"
#include "table.h"

static void check_depth(int depth) {
    if (RT_UNLIKELY(depth > RT_VALUE_DEPTH_MAX)) rt_abort(RT_ERR_DEPTH, "a value is nested too deeply to be compared");
}

static int compare_strings(const rt_value *a, const rt_value *b) {
    size_t x = rt_str_len(a), y = rt_str_len(b);
    int order = memcmp(rt_str(a), rt_str(b), x < y ? x : y);
    if (order) return order < 0 ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int compare(rt_v a, rt_v b, int depth);

static int compare_runs(const rt_v *a, size_t a_len, const rt_v *b, size_t b_len, int depth) {
    size_t shared = a_len < b_len ? a_len : b_len;
    for (size_t i = 0; i < shared; i++) {
        int order = compare(a[i], b[i], depth);
        if (order) return order;
    }
    return a_len < b_len ? -1 : a_len > b_len;
}

static int compare(rt_v a, rt_v b, int depth) {
    if (a == b) return 0;
    uint8_t tag = rt_tag(a), other = rt_tag(b);
    if (tag != other) return tag < other ? -1 : 1;
    switch (tag) {
    case RT_BOOLEAN: return a->kind < b->kind ? -1 : a->kind > b->kind;
    case RT_NUMBER: return rt_num_compare(a, b);
    case RT_STRING: return compare_strings(a, b);
    case RT_ARRAY: {
        check_depth(depth);
        const rt_array_value *x = (const rt_array_value *)(void *)a, *y = (const rt_array_value *)(void *)b;
        return compare_runs(x->items, x->len, y->items, y->len, depth + 1);
    }
    case RT_OBJECT:
    case RT_SET: {
        check_depth(depth);
        rt_sorted(a);
        rt_sorted(b);
        const rt_table *x = table_of(a), *y = table_of(b);
        size_t stride = table_stride(x);
        /* An object is compared as key, value, key, value ... */
        return compare_runs(x->items, x->len * stride, y->items, y->len * stride, depth + 1);
    }
    default: return 0;
    }
}

int32_t rt_compare(rt_v a, rt_v b) { return compare(a, b, 0); }

int rt_compare_at(rt_v a, rt_v b, int depth) { return compare(a, b, depth); }

bool rt_equal_at(rt_v a, rt_v b, int depth) {
    if (a == b) return true;
    if (!a || !b || a->tag != b->tag) return false;
    if (a->hash && b->hash && a->hash != b->hash) return false;
    switch (a->tag) {
    case RT_NULL: return true;
    case RT_BOOLEAN: return a->kind == b->kind;
    case RT_NUMBER: return rt_num_equal(a, b);
    case RT_STRING: return rt_str_len(a) == rt_str_len(b) && memcmp(rt_str(a), rt_str(b), rt_str_len(a)) == 0;
    case RT_ARRAY: {
        check_depth(depth);
        uint32_t n = rt_array_len(a);
        if (n != rt_array_len(b)) return false;
        for (uint32_t i = 0; i < n; i++)
            if (!rt_equal_at(rt_array_at(a, i), rt_array_at(b, i), depth + 1)) return false;
        return true;
    }
    default: {
        check_depth(depth);
        const rt_table *x = table_of(a), *y = table_of(b);
        size_t stride = table_stride(x);
        if (x->len != y->len) return false;
        for (size_t i = 0; i < x->len; i++) {
            uint32_t entry = table_find_at(y, x->items[i * stride], depth + 1);
            if (entry == TABLE_NONE) return false;
            if (stride == 2 && !rt_equal_at(x->items[i * 2 + 1], y->items[(size_t)entry * 2 + 1], depth + 1)) return false;
        }
        return true;
    }
    }
}

int32_t rt_equal(rt_v a, rt_v b) { return rt_equal_at(a, b, 0); }

static uint32_t hash_value(rt_v v, int depth) {
    if (v->hash) return v->hash;
    uint64_t h;
    switch (v->tag) {
    case RT_NUMBER: h = rt_num_hash(v); break;
    case RT_STRING:
        h = hash_bytes(RT_HASH_SEED_STRING ^ rt_str_len(v), rt_str(v), rt_str_len(v));
        break;
    case RT_ARRAY:
        check_depth(depth);
        h = RT_HASH_SEED_ARRAY;
        for (uint32_t i = 0; i < rt_array_len(v); i++) h = hash_mix(h, hash_value(rt_array_at(v, i), depth + 1));
        break;
    case RT_OBJECT:
    case RT_SET: {
        /* A sum does not depend on the order of entries. */
        check_depth(depth);
        const rt_table *t = table_of(v);
        uint64_t sum = t->len;
        for (size_t i = 0; i < t->len; i++) {
            if (v->tag == RT_SET) {
                sum += hash_mix(RT_HASH_SEED_SET, hash_value(t->items[i], depth + 1));
            } else {
                uint64_t key = hash_mix(RT_HASH_SEED_OBJECT, hash_value(t->items[2 * i], depth + 1));
                sum += hash_mix(key, hash_value(t->items[2 * i + 1], depth + 1));
            }
        }
        h = hash_mix(v->tag == RT_SET ? RT_HASH_SEED_SET : RT_HASH_SEED_OBJECT, sum);
        break;
    }
    default: h = RT_HASH_NULL; break;
    }
    v->hash = hash_fold(h);
    return v->hash;
}

uint32_t rt_hash(rt_v v) { return hash_value(v, 0); }
