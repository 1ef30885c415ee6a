/* Internal header of the runtime: what the value families and the builtins (b_*.c) use of each other.
 *
 * Everything here runs inside the sandbox: no libc, no clock, no I/O, no static state beyond the allocator and the
 * linker's patch points. Values are immutable once reachable from two places. `rt_v` 0 means undefined.
 * A function marked RT_EXPORT is visible to the linker of policies (engine/wasm); keep that list as ABI.md has it.
 */
#ifndef RT_H
#define RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"

#define RT_EXPORT __attribute__((visibility("default")))
#define RT_COLD __attribute__((cold, noinline))
#define RT_LIKELY(x) __builtin_expect(!!(x), 1)
#define RT_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* ---- memory (arena.c): never returns 0, never frees; out of memory aborts with eval_limit_memory ---- */

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *text);

/* 8-byte aligned, not zeroed. */
void *rt_alloc(size_t size);
/* count * size bytes with an overflow check. */
void *rt_alloc_array(size_t count, size_t size);
/* Grows a block of rt_alloc: in place when it is the newest one, else a copy. */
void *rt_realloc(void *block, size_t old_size, size_t new_size);
/* Marks the arena, and gives everything allocated since the mark back (only what is certainly unreachable). */
void *rt_mark(void);
void rt_release(void *mark);
/* Counts opa_heap_ptr_set: what a builtin keeps between calls is void when this has changed. */
extern uint32_t rt_heap_resets;

/* ---- errors (error.c) ---- */

/* Ends the evaluation: opa_abort("<code text>: <message>"). `code` is an RT_ERR_*. */
_Noreturn void rt_abort(int32_t code, const char *message);
/* A builtin's operand has the wrong type: "<name>: operand <n> must be <expected> but got <type of got>". `expected` is for
 * instance "number" or "one of {array, set}". Returns 0 (undefined) or aborts with eval_type_error when strict. */
struct rt_value;
struct rt_value *rt_type_error(const char *name, int operand, const char *expected, const struct rt_value *got);
/* "<name>: operand <n> <message>" as eval_type_error (element errors, enum errors, "must be integer number ..."). */
struct rt_value *rt_operand_error(const char *name, int operand, const char *message);
/* The whole message as eval_type_error. */
struct rt_value *rt_type_error_text(const char *message);
/* "<name>: <message>" as eval_builtin_error. Returns 0 or aborts when strict. */
struct rt_value *rt_builtin_error(const char *name, const char *message);
/* The same with a message that is a string value. */
struct rt_value *rt_builtin_error_value(const char *name, const struct rt_value *message);
/* Name of a value's type as OPA prints it: null boolean number string array object set; "undefined" for 0. */
const char *rt_type_name(const struct rt_value *v);

/* ---- values ---- */

typedef struct rt_value {
    uint8_t tag;    /* RT_NULL .. RT_SET */
    uint8_t kind;   /* boolean: 0 or 1; number: RT_NUM_* */
    uint16_t flags; /* RT_FLAG_* */
    uint32_t hash;  /* 0 = not computed */
} rt_value;

typedef rt_value *rt_v;

typedef struct {
    rt_value head;
    int64_t value;
} rt_int_value;

typedef struct {
    rt_value head;
    uint32_t text_len;
    uint32_t digit_count;
    int64_t point;
    char bytes[]; /* text, then digits */
} rt_text_number;

typedef struct {
    rt_value head;
    uint32_t len;
    char bytes[]; /* len bytes and a NUL */
} rt_string_value;

typedef struct {
    rt_value head;
    uint32_t len;
    uint32_t cap;
    rt_v *items;
} rt_array_value;

/* object and set */
typedef struct {
    rt_value head;
    uint32_t len; /* entries */
    uint32_t cap; /* entries */
    rt_v *items;  /* object: key, value, key, value ...; set: elements */
    uint32_t *index;
    uint32_t mask;
} rt_table;

/* Tag, or 0 for undefined. */
static inline uint8_t rt_tag(const rt_value *v) { return v ? v->tag : 0; }

RT_EXPORT int32_t rt_type(const rt_value *v);
RT_EXPORT int32_t rt_len(const rt_value *v);
RT_EXPORT int32_t rt_is_true(const rt_value *v);
RT_EXPORT int32_t rt_equal(rt_v a, rt_v b);
RT_EXPORT int32_t rt_compare(rt_v a, rt_v b);
uint32_t rt_hash(rt_v v);
static inline uint32_t rt_hash_of(rt_v v) { return v->hash ? v->hash : rt_hash(v); }

/* null and booleans (scalar.c) */
RT_EXPORT rt_v rt_null(void);
RT_EXPORT rt_v rt_bool(int32_t truth);
static inline bool rt_bool_value(const rt_value *v) { return v->kind != 0; }

/* ---- strings (text.c) ---- */

/* Any bytes. A byte that is not part of UTF-8 stays what it is and counts as one letter that reads as U+FFFD, as in Go; only what
 * leaves the sandbox is always UTF-8. */
rt_v rt_string(const char *bytes, size_t len);
rt_v rt_string_c(const char *text);
static inline const char *rt_str(const rt_value *v) { return ((const rt_string_value *)v)->bytes; }
static inline size_t rt_str_len(const rt_value *v) { return ((const rt_string_value *)v)->len; }
/* Number of code points. */
size_t rt_str_runes(const rt_value *v);
/* Reads one code point and moves *at; bytes that are not UTF-8 give U+FFFD and move by one. Needs *at < end. */
uint32_t rt_utf8_next(const char **at, const char *end);
/* Reads the last code point before *end and moves *end to its start, a bad byte as above. Needs start < *end. */
uint32_t rt_utf8_last(const char *start, const char **end);
/* Number of code points between two places, bad bytes as one each. */
size_t rt_utf8_count(const char *at, const char *end);
bool rt_utf8_valid(const char *at, const char *end);
/* Writes 1..4 bytes, returns how many; surrogates and > U+10FFFF are written as U+FFFD. */
size_t rt_utf8_put(char *to, uint32_t rune);
/* First place of needle in hay at or after `from`, SIZE_MAX = none; an empty needle is found at `from`. */
size_t rt_find(const char *hay, size_t hay_len, size_t from, const char *needle, size_t needle_len);
bool rt_str_is(const rt_value *v, const char *text);

/* String builder. `rt_sb_string` ends it without a copy; the builder must not be used after that. */
typedef struct {
    char *base; /* start of the string value being built */
    size_t len; /* bytes of text so far */
    size_t cap;
} rt_sb;

void rt_sb_init(rt_sb *sb, size_t capacity);
void rt_sb_reserve(rt_sb *sb, size_t more);
void rt_sb_byte(rt_sb *sb, char c);
void rt_sb_bytes(rt_sb *sb, const char *bytes, size_t len);
void rt_sb_text(rt_sb *sb, const char *text);
void rt_sb_repeat(rt_sb *sb, char c, size_t times);
void rt_sb_rune(rt_sb *sb, uint32_t rune);
void rt_sb_int(rt_sb *sb, int64_t value);
void rt_sb_value(rt_sb *sb, rt_v string_value); /* the bytes of a string value, unquoted */
char *rt_sb_data(rt_sb *sb);                    /* text so far; moves when the builder grows */
rt_v rt_sb_string(rt_sb *sb);

/* ---- numbers (number.c, arith.c, decimal.c) ---- */

RT_EXPORT rt_v rt_int(int64_t value);
/* JSON number grammar only; the text is kept for printing unless it is the canonical form of an int64. 0 = not a number. */
rt_v rt_num_from_text(const char *text, size_t len);
/* The text that OPA prints: the literal's own, or the result of arithmetic. */
void rt_sb_number(rt_sb *sb, const rt_value *number);
/* Stored as an int64: written without point and exponent. */
bool rt_num_is_int(const rt_value *number, int64_t *out);
/* What a builtin or an array takes for an integer: digits, and behind a point zeros only (`1.0`, not `1e2`), as OPA has it. */
bool rt_num_is_whole(const rt_value *number, int64_t *out);
/* The mathematical value is an integer that fits (1.0, 1e2 too). */
bool rt_num_to_int(const rt_value *number, int64_t *out);
/* The mathematical value is an integer of any size. */
bool rt_num_is_integer(const rt_value *number);
/* -1, 0, 1 */
int rt_num_sign(const rt_value *number);
int rt_num_compare(const rt_value *a, const rt_value *b);
bool rt_num_equal(const rt_value *a, const rt_value *b);
/* Exact on integers of any size; otherwise rounded to a 64-bit mantissa as OPA's big.Float. */
rt_v rt_num_add(rt_v a, rt_v b);
rt_v rt_num_sub(rt_v a, rt_v b);
rt_v rt_num_mul(rt_v a, rt_v b);
/* 0 when b is zero. */
rt_v rt_num_div(rt_v a, rt_v b);
/* Sign of the dividend. 0 when b is zero or one of them is no integer: look first. */
rt_v rt_num_rem(rt_v a, rt_v b);
rt_v rt_num_neg(rt_v a);
rt_v rt_num_abs(rt_v a);
rt_v rt_num_floor(rt_v a);
rt_v rt_num_ceil(rt_v a);
rt_v rt_num_round(rt_v a); /* half away from zero */
double rt_num_to_double(const rt_value *number);
/* Shortest text that reads back as the same double, in Go's 'g' form (integers without exponent); must be finite. */
rt_v rt_num_from_double(double value);

/* Exact decimal form: value = 0.<digits> * 10^point, no zeros at either end, count 0 = zero. `room` holds the digits of
 * small numbers, `digits` points there or into the value. */
typedef struct {
    bool negative;
    const char *digits;
    size_t count;
    int64_t point;
    char room[24];
} rt_decimal;
void rt_num_decimal(const rt_value *number, rt_decimal *out);

/* ---- integers of any size (big.c): magnitude in 32-bit limbs, little end first, no leading zero limb ---- */

typedef struct {
    bool negative;
    size_t len;
    uint32_t *limbs;
} rt_big;

/* False when the number is no integer or longer than RT_BIG_DIGITS_MAX digits. */
#define RT_BIG_DIGITS_MAX 20000
bool rt_big_from_num(rt_big *out, const rt_value *number);
rt_v rt_big_to_num(const rt_big *a);
rt_big rt_big_from_int(int64_t value);
rt_big rt_big_from_u64(uint64_t value);
/* Text in a base of 2..36, digits only. False on a bad digit. */
bool rt_big_from_digits(rt_big *out, const char *digits, size_t count, uint32_t base);
void rt_sb_big(rt_sb *sb, const rt_big *a, uint32_t base); /* lower case */
rt_big rt_big_add(const rt_big *a, const rt_big *b);
rt_big rt_big_sub(const rt_big *a, const rt_big *b);
rt_big rt_big_mul(const rt_big *a, const rt_big *b);
/* Truncated division; b must not be zero; either result may be left out (0). */
void rt_big_divmod(const rt_big *a, const rt_big *b, rt_big *quotient, rt_big *remainder);
rt_big rt_big_shl(const rt_big *a, size_t bits);          /* magnitude */
rt_big rt_big_shr(const rt_big *a, size_t bits);          /* magnitude, towards zero */
int rt_big_compare_magnitude(const rt_big *a, const rt_big *b);
size_t rt_big_bits(const rt_big *a);

/* ---- arrays (array.c) ---- */

RT_EXPORT rt_v rt_array(int32_t capacity);
RT_EXPORT void rt_array_push(rt_v array, rt_v item);
static inline uint32_t rt_array_len(const rt_value *v) { return ((const rt_array_value *)v)->len; }
static inline rt_v rt_array_at(const rt_value *v, uint32_t i) { return ((const rt_array_value *)v)->items[i]; }

/* ---- objects and sets (table.c, object.c, set.c) ---- */

RT_EXPORT rt_v rt_object(int32_t capacity);
RT_EXPORT void rt_object_put(rt_v object, rt_v key, rt_v value);
RT_EXPORT int32_t rt_object_put_once(rt_v object, rt_v key, rt_v value);
RT_EXPORT rt_v rt_object_merge(rt_v a, rt_v b);
rt_v rt_object_get(const rt_value *object, rt_v key);
rt_v rt_object_get_c(const rt_value *object, const char *key);
void rt_object_put_c(rt_v object, const char *key, rt_v value);
/* Changes the object: only while it is being built, and for opa_value_remove_path. */
void rt_object_remove(rt_v object, rt_v key);
RT_EXPORT rt_v rt_set(int32_t capacity);
RT_EXPORT void rt_set_put(rt_v set, rt_v element);
rt_v rt_set_get(const rt_value *set, rt_v element); /* the element that is in the set, or 0 */

static inline uint32_t rt_table_len(const rt_value *v) { return ((const rt_table *)v)->len; }
/* A shallow copy of an object or set with room for `extra` more entries; cheaper than putting each again. */
rt_v rt_table_copy(const rt_value *table, uint32_t extra);
/* Puts the entries in Rego order (once; nothing is observable but the order). Needed before items are read by number. */
void rt_table_sort(rt_v table);
static inline void rt_sorted(rt_v table) {
    if (RT_UNLIKELY(!(table->flags & RT_FLAG_SORTED))) rt_table_sort(table);
}
/* i-th entry in Rego order, after rt_sorted(). */
static inline rt_v rt_object_key(const rt_value *v, uint32_t i) { return ((const rt_table *)v)->items[2 * (size_t)i]; }
static inline rt_v rt_object_value(const rt_value *v, uint32_t i) {
    return ((const rt_table *)v)->items[2 * (size_t)i + 1];
}
static inline rt_v rt_set_at(const rt_value *v, uint32_t i) { return ((const rt_table *)v)->items[i]; }

/* ---- any collection (access.c) ---- */

RT_EXPORT rt_v rt_get(rt_v source, rt_v key);
RT_EXPORT rt_v rt_iter_key(rt_v source, int32_t i);
RT_EXPORT rt_v rt_iter_value(rt_v source, int32_t i);
RT_EXPORT rt_v rt_with(rt_v base, rt_v path, rt_v value);
RT_EXPORT _Noreturn void rt_fail(int32_t code, rt_v message);

/* for (RT_EACH(i, n, array)) { rt_v item = rt_array_at(array, i); ... }
 * Objects and sets: call rt_sorted(v) first and read with rt_object_key / rt_object_value / rt_set_at. */
#define RT_EACH(i, n, v) uint32_t i = 0, n = (uint32_t)rt_len(v); i < n; i++

/* ---- JSON and value text (json_read.c, json_write.c) ---- */

#define RT_JSON_PLAIN 0
#define RT_JSON_HTML 1  /* escape < > & U+2028 U+2029 as Go's json.Marshal */
#define RT_JSON_VALUE 2 /* OPA value text: sets as {1,2} and set(), keys of any type */
#define RT_JSON_BYTES 4 /* a byte XX that is not UTF-8 stands as \udcXX, otherwise as \ufffd */
/* 0 when the text is not one JSON value (RT_JSON_VALUE: or one value text). */
rt_v rt_json_read(const char *text, size_t len, int flags);
void rt_sb_json(rt_sb *sb, rt_v v, int flags);
/* A quoted JSON string. */
void rt_sb_json_string(rt_sb *sb, const char *bytes, size_t len, int flags);

/* ---- patch points (patch.c); see ABI.md ---- */

typedef struct {
    rt_v key;
    const uint8_t *program;
} rt_program_entry;

extern char *rt_heap_start;
extern const rt_program_entry *rt_regex_table;
extern int32_t rt_regex_count;
extern const rt_program_entry *rt_glob_table;
extern int32_t rt_glob_count;
extern int32_t rt_regex_compile_id;
extern int32_t rt_zoned_ids[RT_ZONED_COUNT];
extern int32_t rt_error_id;
extern int32_t rt_strict;

/* ---- host (imports) ---- */

#ifdef __wasm__
#define RT_IMPORT(name) __attribute__((import_module("env"), import_name(name)))
#else
#define RT_IMPORT(name)
#endif

RT_IMPORT("opa_abort") void opa_abort(const char *message);
RT_IMPORT("opa_println") void opa_println(const char *message);
RT_IMPORT("opa_builtin0") rt_v opa_builtin0(int32_t id, void *ctx);
RT_IMPORT("opa_builtin1") rt_v opa_builtin1(int32_t id, void *ctx, rt_v a);
RT_IMPORT("opa_builtin2") rt_v opa_builtin2(int32_t id, void *ctx, rt_v a, rt_v b);
RT_IMPORT("opa_builtin3") rt_v opa_builtin3(int32_t id, void *ctx, rt_v a, rt_v b, rt_v c);
RT_IMPORT("opa_builtin4") rt_v opa_builtin4(int32_t id, void *ctx, rt_v a, rt_v b, rt_v c, rt_v d);

#endif
