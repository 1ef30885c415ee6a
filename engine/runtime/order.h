/* Hash steps shared by the value families; layout.py computes the same for constants. */
#ifndef RT_ORDER_H
#define RT_ORDER_H

#include "rt.h"

typedef uint64_t __attribute__((may_alias, aligned(1))) hash_word;

static inline uint64_t hash_mix(uint64_t h, uint64_t word) {
    h = (h ^ word) * RT_HASH_MUL;
    return h ^ h >> 29;
}

/* Little-endian words of 8 bytes, the last one filled up with zeros. */
static inline uint64_t hash_bytes(uint64_t h, const char *bytes, size_t len) {
    size_t i = 0;
    for (; i + 8 <= len; i += 8) h = hash_mix(h, *(const hash_word *)(bytes + i));
    if (i < len) {
        uint64_t tail = 0;
        for (size_t shift = 0; i < len; i++, shift += 8) tail |= (uint64_t)(uint8_t)bytes[i] << shift;
        h = hash_mix(h, tail);
    }
    return h;
}

static inline uint32_t hash_fold(uint64_t h) {
    uint32_t folded = (uint32_t)(h ^ h >> 32);
    return folded ? folded : 1;
}

uint64_t rt_num_hash(const rt_value *number);

#endif
