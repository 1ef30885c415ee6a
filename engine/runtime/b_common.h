/* What the builtins (b_*.c) share: operand checks in OPA's words, and values as text. Nothing outside b_*.c includes this. */
#ifndef B_COMMON_H
#define B_COMMON_H

#include "rt.h"

/* Leaves the builtin with OPA's error when operand `n` (from 1) has not the wanted type. */
#define B_WANT(name, n, v, type_tag, type_text)                                        \
    do {                                                                               \
        if (RT_UNLIKELY(rt_tag(v) != (type_tag))) return rt_type_error(name, n, type_text, v); \
    } while (0)
#define B_STRING(name, n, v) B_WANT(name, n, v, RT_STRING, "string")
#define B_NUMBER(name, n, v) B_WANT(name, n, v, RT_NUMBER, "number")
#define B_ARRAY(name, n, v) B_WANT(name, n, v, RT_ARRAY, "array")
#define B_SET(name, n, v) B_WANT(name, n, v, RT_SET, "set")
#define B_OBJECT(name, n, v) B_WANT(name, n, v, RT_OBJECT, "object")
/* An integer of 64 bits, written without an exponent (`1.0` is one for newer OPA, `1e0` is not), put into `out`. */
#define B_INTEGER(name, n, v, out)                                                                           \
    do {                                                                                                     \
        B_NUMBER(name, n, v);                                                                                \
        if (RT_UNLIKELY(!rt_num_is_whole(v, out)))                                                              \
            return rt_operand_error(name, n, "must be integer number but got floating-point number");        \
    } while (0)

/* "operand n must be array of strings but got array containing number" */
rt_v b_element_error(const char *name, int operand, const rt_value *composite, const rt_value *got, const char *wanted);
/* "operand n <before><detail><after>" */
rt_v b_operand_error_text(const char *name, int operand, const char *before, const char *detail, const char *after);

/* Items of an array or set by number, sets in Rego order. The caller has looked at the tag. */
static inline rt_v b_item(rt_v collection, uint32_t i) {
    return collection->tag == RT_ARRAY ? rt_array_at(collection, i) : rt_set_at(collection, i);
}
static inline uint32_t b_items(rt_v collection) {
    if (collection->tag == RT_ARRAY) return rt_array_len(collection);
    rt_sorted(collection);
    return rt_table_len(collection);
}
static inline bool b_is_items(const rt_value *v) { return rt_tag(v) == RT_ARRAY || rt_tag(v) == RT_SET; }

/* The string with U+FFFD for each byte that is not UTF-8: itself when there is none. */
rt_v b_repaired(rt_v string);

/* A capacity for rt_array and its like. */
static inline int32_t b_cap(size_t n) { return n > 0x10000000 ? 0x10000000 : (int32_t)n; }

/* The segments of a JSON path (`a/b`, `["a", "b"]`) that is part of operand 2; 0 after an error. */
rt_v b_path_segments(const char *name, rt_v path);

/* The text of a value as `sprintf("%v")` and OPA's printer show it: strings quoted, sets {1, 2} and set(). */
void b_sb_term(rt_sb *sb, rt_v v);
/* What is wrong with a text that is no JSON. */
rt_v b_json_fault(rt_v text);
/* A string quoted as Go's strconv.Quote does it. */
void b_sb_quoted(rt_sb *sb, const char *bytes, size_t len);
/* Whether Go would print the code point as it is. */
bool b_is_print(uint32_t rune);

#endif
