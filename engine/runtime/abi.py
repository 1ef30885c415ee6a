"""Python twin of `abi.h`: tags, struct offsets, flags, hash constants, error codes. A test compares the two name by name.

Names are those of the header without `RT_`. No code here.
"""

from typing import Final

NULL: Final = 1
BOOLEAN: Final = 2
NUMBER: Final = 3
STRING: Final = 4
ARRAY: Final = 5
OBJECT: Final = 6
SET: Final = 7
OFF_TAG: Final = 0
OFF_KIND: Final = 1
OFF_FLAGS: Final = 2
OFF_HASH: Final = 4
ALIGN: Final = 8
NUM_INT: Final = 0
NUM_TEXT: Final = 1
FLAG_NEGATIVE: Final = 1
FLAG_SORTED: Final = 2
FLAG_DIGITS: Final = 4
FLAG_ORDERED: Final = 8
OFF_INT: Final = 8
SIZE_INT: Final = 16
OFF_NUM_TEXT_LEN: Final = 8
OFF_NUM_DIGIT_COUNT: Final = 12
OFF_NUM_POINT: Final = 16
OFF_NUM_TEXT: Final = 24
NUM_POINT_MAX: Final = 1000000000000
OFF_STR_LEN: Final = 8
OFF_STR_BYTES: Final = 12
OFF_LEN: Final = 8
OFF_CAP: Final = 12
OFF_ITEMS: Final = 16
SIZE_ARRAY: Final = 24
OFF_INDEX: Final = 20
OFF_MASK: Final = 24
SIZE_TABLE: Final = 32
TABLE_SMALL: Final = 8
HASH_MUL: Final = 0x9E3779B97F4A7C15
HASH_NULL: Final = 0x1B873593
HASH_FALSE: Final = 0x2545F491
HASH_TRUE: Final = 0x5BD1E995
HASH_SEED_INT: Final = 0x51ED270B0A1F39C1
HASH_SEED_DECIMAL: Final = 0x2127599BF4325C37
HASH_SEED_STRING: Final = 0x880355F21E6D1965
HASH_SEED_ARRAY: Final = 0xC2B2AE3D27D4EB4F
HASH_SEED_OBJECT: Final = 0x165667B19E3779F9
HASH_SEED_SET: Final = 0x27D4EB2F165667C5
ERR_CONFLICT: Final = 1
ERR_TYPE: Final = 2
ERR_BUILTIN: Final = 3
ERR_MEMORY: Final = 4
ERR_DEPTH: Final = 5
ERR_INPUT: Final = 6
ERR_INTERNAL: Final = 7
JSON_DEPTH_MAX: Final = 512
VALUE_DEPTH_MAX: Final = 1024
OPA_ABI_VERSION: Final = 1
OPA_ABI_MINOR: Final = 3
OFF_CTX_INPUT: Final = 0
OFF_CTX_DATA: Final = 4
OFF_CTX_ENTRYPOINT: Final = 8
OFF_CTX_RESULT: Final = 12
SIZE_CTX: Final = 16
