/* Numbers that C and Python must agree on: tags, struct offsets, flags, error codes, hash constants.
 *
 * Only `#define NAME value` lines: `abi.py` is the Python twin and a test compares the two name by name. No code and
 * no types here. Offsets are those of the 32-bit build (wasm); a native build has wider pointers and uses the structs.
 */
#ifndef RT_ABI_H
#define RT_ABI_H

/* Tags, in Rego's sort order. 0 is no value (undefined is the address 0). */
#define RT_NULL 1
#define RT_BOOLEAN 2
#define RT_NUMBER 3
#define RT_STRING 4
#define RT_ARRAY 5
#define RT_OBJECT 6
#define RT_SET 7

/* Header of every value: u8 tag, u8 kind, u16 flags, u32 hash (0 = not computed yet). */
#define RT_OFF_TAG 0
#define RT_OFF_KIND 1
#define RT_OFF_FLAGS 2
#define RT_OFF_HASH 4
#define RT_ALIGN 8

/* kind of a boolean: its value. kind of a number: how it is stored. */
#define RT_NUM_INT 0
#define RT_NUM_TEXT 1

/* flags */
#define RT_FLAG_NEGATIVE 1
#define RT_FLAG_SORTED 2
#define RT_FLAG_DIGITS 4
#define RT_FLAG_ORDERED 8

/* number, kind int: i64. */
#define RT_OFF_INT 8
#define RT_SIZE_INT 16
/* number, kind text: u32 text length, u32 digit count, i64 point; then the text, then the digits (no zero at either
 * end). Its value is 0.<digits> * 10^point; zero has no digits and point 0. */
#define RT_OFF_NUM_TEXT_LEN 8
#define RT_OFF_NUM_DIGIT_COUNT 12
#define RT_OFF_NUM_POINT 16
#define RT_OFF_NUM_TEXT 24
/* |point| is clamped to this. */
#define RT_NUM_POINT_MAX 1000000000000

/* string: u32 length in bytes; then the bytes (UTF-8) and one NUL. */
#define RT_OFF_STR_LEN 8
#define RT_OFF_STR_BYTES 12

/* array: u32 length, u32 capacity, u32 address of the elements (u32 each). */
#define RT_OFF_LEN 8
#define RT_OFF_CAP 12
#define RT_OFF_ITEMS 16
#define RT_SIZE_ARRAY 24

/* object and set: like an array, items are u32 key, u32 value (object) or u32 element (set); then u32 address of the hash
 * index (0 = none, search the items) and u32 mask. A slot of the index is u32: item number + 1, 0 = free; linear probing
 * from hash & mask. With RT_FLAG_ORDERED the index is one by order instead (table.c). With RT_FLAG_SORTED the items are in Rego order. */
#define RT_OFF_INDEX 20
#define RT_OFF_MASK 24
#define RT_SIZE_TABLE 32
#define RT_TABLE_SMALL 8

/* Hashes: 64-bit words, mixed by  h = (h ^ w) * RT_HASH_MUL; h ^= h >> 29;  the result is folded to 32 bits. */
#define RT_HASH_MUL 0x9E3779B97F4A7C15
#define RT_HASH_NULL 0x1B873593
#define RT_HASH_FALSE 0x2545F491
#define RT_HASH_TRUE 0x5BD1E995
#define RT_HASH_SEED_INT 0x51ED270B0A1F39C1
#define RT_HASH_SEED_DECIMAL 0x2127599BF4325C37
#define RT_HASH_SEED_STRING 0x880355F21E6D1965
#define RT_HASH_SEED_ARRAY 0xC2B2AE3D27D4EB4F
#define RT_HASH_SEED_OBJECT 0x165667B19E3779F9
#define RT_HASH_SEED_SET 0x27D4EB2F165667C5

/* Error codes of rt_fail. */
#define RT_ERR_CONFLICT 1
#define RT_ERR_TYPE 2
#define RT_ERR_BUILTIN 3
#define RT_ERR_MEMORY 4
#define RT_ERR_DEPTH 5
#define RT_ERR_INPUT 6
#define RT_ERR_INTERNAL 7

/* Limits. */
#define RT_JSON_DEPTH_MAX 512
#define RT_VALUE_DEPTH_MAX 1024

/* Builtins that the host computes where an operand names a time zone: their places in rt_zoned_ids. */
#define RT_ZONED_ADD_DATE 0
#define RT_ZONED_CLOCK 1
#define RT_ZONED_DATE 2
#define RT_ZONED_DIFF 3
#define RT_ZONED_WEEKDAY 4
#define RT_ZONED_COUNT 5

/* Forms of text that go in and out of the sandbox: JSON, value text (also any other number, as OPA's format 1), and the value text
 * between a builtin and its host, where a byte XX that is not UTF-8 stands as \udcXX. Bits of opa_eval's options. */
#define RT_TEXT_JSON 0
#define RT_TEXT_VALUE 2
#define RT_TEXT_HOST 4

/* OPA's WebAssembly ABI. */
#define RT_OPA_ABI_VERSION 1
#define RT_OPA_ABI_MINOR 3

/* Evaluation context of the OPA ABI. */
#define RT_OFF_CTX_INPUT 0
#define RT_OFF_CTX_DATA 4
#define RT_OFF_CTX_ENTRYPOINT 8
#define RT_OFF_CTX_RESULT 12
#define RT_SIZE_CTX 16

#endif
