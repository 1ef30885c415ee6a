/* Bits of integers of any size, negative ones in two's complement. */
#include "b_common.h"

#define SHIFT_MAX 65536

static rt_v operand(const char *name, int n, rt_v v, rt_big *out) {
    if (rt_tag(v) != RT_NUMBER) return rt_type_error(name, n, "integer", v);
    if (!rt_num_is_integer(v)) return rt_operand_error(name, n, "must be integer number but got floating-point number");
    if (!rt_big_from_num(out, v)) return rt_builtin_error(name, "number is too large");
    return v;
}

/* Limb i of the two's complement; `borrow` carries from limb to limb (start: 1). */
static uint32_t limb(const rt_big *a, size_t i, uint32_t *borrow) {
    uint32_t value = i < a->len ? a->limbs[i] : 0;
    if (!a->negative) return value;
    uint32_t result = ~value + *borrow;
    *borrow = *borrow && result == 0;
    return result;
}

static rt_v combine(const char *name, rt_v x, rt_v y, char operation) {
    rt_big a, b, out;
    if (!operand(name, 1, x, &a) || !operand(name, 2, y, &b)) return 0;
    size_t len = (a.len > b.len ? a.len : b.len) + 1;
    out.limbs = rt_alloc_array(len, sizeof(uint32_t));
    uint32_t borrow_a = 1, borrow_b = 1;
    for (size_t i = 0; i < len; i++) {
        uint32_t left = limb(&a, i, &borrow_a), right = limb(&b, i, &borrow_b);
        out.limbs[i] = operation == '&' ? (left & right) : operation == '|' ? (left | right) : (left ^ right);
    }
    out.negative = (out.limbs[len - 1] >> 31) != 0;
    if (out.negative) {
        uint32_t carry = 1;
        for (size_t i = 0; i < len; i++) {
            out.limbs[i] = ~out.limbs[i] + carry;
            carry = carry && out.limbs[i] == 0;
        }
    }
    while (len > 0 && out.limbs[len - 1] == 0) len--;
    out.len = len;
    return rt_big_to_num(&out);
}

RT_EXPORT rt_v bi_bits_and(rt_v a, rt_v b) { return combine("bits.and", a, b, '&'); }
RT_EXPORT rt_v bi_bits_or(rt_v a, rt_v b) { return combine("bits.or", a, b, '|'); }
RT_EXPORT rt_v bi_bits_xor(rt_v a, rt_v b) { return combine("bits.xor", a, b, '^'); }

RT_EXPORT rt_v bi_bits_negate(rt_v a) {
    rt_big big;
    if (!operand("bits.negate", 1, a, &big)) return 0;
    return rt_num_sub(rt_num_neg(rt_big_to_num(&big)), rt_int(1));
}

static rt_v shift(const char *name, rt_v x, rt_v by, bool left) {
    rt_big a, b;
    int64_t bits;
    if (!operand(name, 1, x, &a) || !operand(name, 2, by, &b)) return 0;
    if (b.negative && b.len) return rt_operand_error(name, 2, "must be an unsigned integer number but got a negative integer");
    if (!rt_num_to_int(by, &bits) || bits > SHIFT_MAX) {
        if (!left) return a.negative ? rt_int(-1) : rt_int(0);
        if (a.len == 0) return rt_int(0);
        return rt_builtin_error(name, "shift is too large");
    }
    rt_big out = left ? rt_big_shl(&a, (size_t)bits) : rt_big_shr(&a, (size_t)bits);
    if (!left && a.negative) { /* towards minus infinity */
        rt_big back = rt_big_shl(&out, (size_t)bits);
        if (rt_big_compare_magnitude(&back, &a) != 0) {
            out.negative = true;
            return rt_num_sub(rt_big_to_num(&out), rt_int(1));
        }
    }
    out.negative = a.negative && out.len > 0;
    return rt_big_to_num(&out);
}

RT_EXPORT rt_v bi_bits_lsh(rt_v a, rt_v by) { return shift("bits.lsh", a, by, true); }
RT_EXPORT rt_v bi_bits_rsh(rt_v a, rt_v by) { return shift("bits.rsh", a, by, false); }
