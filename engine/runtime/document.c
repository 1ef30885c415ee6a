/* Lays a value out as the data segment of a module: what `layout.py` does for constants, at native speed for documents
 * of many megabytes.
 *
 * Copies the value into fresh memory, without gaps, sorted, with hashes and indexes ready, and with the addresses that it
 * will have when the block stands at `base`. Equal scalars are stored once. Used while a policy is compiled, never by one.
 */
#include "rt.h"
#include "table.h"

#ifdef __wasm__

typedef struct {
    uint32_t start; /* where the block is now */
    uint32_t size;
    uint32_t root; /* where the value will be */
} document;

typedef struct {
    rt_v value;
    uint32_t address;
} known_slot;

typedef struct {
    uint32_t start;
    uint32_t base;
    known_slot *known;
    uint32_t mask;
} writer;

RT_EXPORT document *rt_document(rt_v value, uint32_t base);

/* Brings everything into its final state before the first byte is placed; returns the number of scalars. */
static size_t ready(rt_v v) {
    size_t scalars = 0;
    rt_hash_of(v);
    if (v->tag == RT_ARRAY) {
        for (uint32_t i = 0; i < rt_array_len(v); i++) scalars += ready(rt_array_at(v, i));
    } else if (v->tag == RT_OBJECT || v->tag == RT_SET) {
        rt_sorted(v);
        const rt_table *t = table_of(v);
        size_t words = t->len * table_stride(t);
        for (size_t i = 0; i < words; i++) scalars += ready(t->items[i]);
    } else {
        scalars = 1;
    }
    return scalars;
}

static uint32_t address_of(const writer *w, const void *block) {
    return (uint32_t)(uintptr_t)block - w->start + w->base;
}

static void *copy(const void *from, size_t size) {
    void *to = rt_alloc(size);
    memcpy(to, from, size);
    return to;
}

static size_t scalar_size(const rt_value *v) {
    if (v->tag == RT_STRING) return offsetof(rt_string_value, bytes) + rt_str_len(v) + 1;
    if (v->tag != RT_NUMBER) return sizeof *v;
    if (v->kind == RT_NUM_INT) return sizeof(rt_int_value);
    const rt_text_number *number = (const rt_text_number *)(const void *)v;
    return offsetof(rt_text_number, bytes) + number->text_len + number->digit_count;
}

/* Equal, and stored alike: 1 and 1.0 stay apart, as each keeps its text. */
static bool same_scalar(const rt_value *a, const rt_value *b, size_t size) {
    return a->tag == b->tag && scalar_size(b) == size && memcmp(a, b, size) == 0;
}

static uint32_t place_scalar(writer *w, rt_v v) {
    size_t size = scalar_size(v);
    uint32_t at = v->hash & w->mask;
    for (; w->known[at].value; at = (at + 1) & w->mask)
        if (w->known[at].value == v || same_scalar(v, w->known[at].value, size)) return w->known[at].address;
    uint32_t address = address_of(w, copy(v, size));
    w->known[at] = (known_slot){v, address};
    return address;
}

static uint32_t place(writer *w, rt_v v);

/* The items of a collection whose copy has been made: `to` gets the addresses that they will have. */
static void place_items(writer *w, rt_v *to, rt_v *from, size_t words) {
    for (size_t i = 0; i < words; i++) to[i] = (rt_v)(uintptr_t)place(w, from[i]);
}

static uint32_t place_array(writer *w, rt_v v) {
    const rt_array_value *from = (const rt_array_value *)(void *)v;
    rt_array_value *to = copy(from, sizeof *from);
    rt_v *items = rt_alloc_array(from->len, sizeof *items);
    to->cap = from->len;
    to->items = (rt_v *)(uintptr_t)address_of(w, items);
    place_items(w, items, from->items, from->len);
    return address_of(w, to);
}

static uint32_t place_table(writer *w, rt_v v) {
    const rt_table *from = table_of(v);
    size_t words = from->len * table_stride(from);
    rt_table *to = copy(from, sizeof *from);
    rt_v *items = rt_alloc_array(words, sizeof *items);
    to->cap = from->len;
    to->items = (rt_v *)(uintptr_t)address_of(w, items);
    if (from->index)
        to->index = (uint32_t *)(uintptr_t)address_of(w, copy(from->index, ((size_t)from->mask + 1) * sizeof *from->index));
    place_items(w, items, from->items, words);
    return address_of(w, to);
}

static uint32_t place(writer *w, rt_v v) {
    switch (v->tag) {
    case RT_ARRAY: return place_array(w, v);
    case RT_OBJECT:
    case RT_SET: return place_table(w, v);
    default: return place_scalar(w, v);
    }
}

/* `base` is 8-aligned. The value's nesting is that of JSON text (RT_JSON_DEPTH_MAX), so the recursion is bounded. */
document *rt_document(rt_v value, uint32_t base) {
    size_t slots = 32, scalars = ready(value);
    while (slots < 2 * scalars) slots *= 2;
    document *result = rt_alloc(sizeof *result);
    writer w = {.base = base, .known = rt_alloc_array(slots, sizeof *w.known), .mask = (uint32_t)(slots - 1)};
    memset(w.known, 0, slots * sizeof *w.known);
    w.start = (uint32_t)(uintptr_t)rt_mark();
    uint32_t root = place(&w, value);
    *result = (document){w.start, (uint32_t)(uintptr_t)rt_mark() - w.start, root};
    return result;
}

#endif
