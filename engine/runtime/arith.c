/* Arithmetic: 64-bit integers first, then integers of any size exactly, then OPA's 64-bit binary floating point.
 *
 * OPA rounds every integer result to 64 bits too; here an integer stays exact (docs/differences.md). A result that is an integer is
 * an int64 whenever it fits.
 */
#include "binary.h"

static bool both_small(const rt_value *a, const rt_value *b, int64_t *x, int64_t *y) {
    return rt_num_is_int(a, x) && rt_num_is_int(b, y);
}

static bool both_big(const rt_value *a, const rt_value *b, rt_big *x, rt_big *y) {
    return rt_big_from_num(x, a) && rt_big_from_num(y, b);
}

/* Sum of two binary numbers; when they are further apart than any rounding reaches, the larger one alone. */
static binary add_binary(binary a, binary b) {
    if (a.mantissa == 0) return b;
    if (b.mantissa == 0) return a;
    if (a.exponent < b.exponent) {
        binary swap = a;
        a = b;
        b = swap;
    }
    if (a.exponent - b.exponent > 130) return a;
    rt_big x = rt_big_from_u64(a.mantissa), y = rt_big_from_u64(b.mantissa);
    x = rt_big_shl(&x, (size_t)(a.exponent - b.exponent));
    x.negative = a.negative;
    y.negative = b.negative;
    rt_big sum = rt_big_add(&x, &y);
    return binary_round(&sum, b.exponent, false, 64);
}

static rt_v add(rt_v a, rt_v b, bool subtract) {
    int64_t x, y, z;
    if (both_small(a, b, &x, &y) &&
        !(subtract ? __builtin_sub_overflow(x, y, &z) : __builtin_add_overflow(x, y, &z)))
        return rt_int(z);
    rt_big p, q;
    if (both_big(a, b, &p, &q)) {
        rt_big sum = subtract ? rt_big_sub(&p, &q) : rt_big_add(&p, &q);
        return rt_big_to_num(&sum);
    }
    binary u = binary_from_num(a), v = binary_from_num(b);
    if (subtract) v.negative = !v.negative;
    return binary_to_num(add_binary(u, v));
}

rt_v rt_num_add(rt_v a, rt_v b) { return add(a, b, false); }

rt_v rt_num_sub(rt_v a, rt_v b) { return add(a, b, true); }

static int bits_of(int64_t x) {
    uint64_t magnitude = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    return magnitude ? 64 - __builtin_clzll(magnitude) : 0;
}

rt_v rt_num_mul(rt_v a, rt_v b) {
    int64_t x, y;
    /* The compiler's overflow check needs a 128-bit product; counting bits is enough for nearly all factors. */
    if (both_small(a, b, &x, &y) && bits_of(x) + bits_of(y) <= 63) return rt_int(x * y);
    rt_big p, q;
    if (both_big(a, b, &p, &q)) {
        rt_big product = rt_big_mul(&p, &q);
        return rt_big_to_num(&product);
    }
    binary u = binary_from_num(a), v = binary_from_num(b);
    if (u.mantissa == 0 || v.mantissa == 0) return rt_int(0);
    p = rt_big_from_u64(u.mantissa);
    q = rt_big_from_u64(v.mantissa);
    rt_big product = rt_big_mul(&p, &q);
    product.negative = u.negative != v.negative;
    return binary_to_num(binary_round(&product, u.exponent + v.exponent, false, 64));
}

rt_v rt_num_div(rt_v a, rt_v b) {
    int64_t x, y;
    if (rt_num_sign(b) == 0) return 0;
    if (both_small(a, b, &x, &y) && !(x == INT64_MIN && y == -1) && x % y == 0) return rt_int(x / y);
    rt_big p, q, quotient, rest;
    if (both_big(a, b, &p, &q)) {
        rt_big_divmod(&p, &q, &quotient, &rest);
        if (rest.len == 0) return rt_big_to_num(&quotient);
    }
    binary u = binary_from_num(a), v = binary_from_num(b);
    if (u.mantissa == 0 || v.mantissa == 0) return rt_int(0);
    p = rt_big_from_u64(u.mantissa);
    q = rt_big_from_u64(v.mantissa);
    p = rt_big_shl(&p, 68);
    rt_big_divmod(&p, &q, &quotient, &rest);
    quotient.negative = u.negative != v.negative;
    return binary_to_num(binary_round(&quotient, u.exponent - v.exponent - 68, rest.len != 0, 64));
}

rt_v rt_num_rem(rt_v a, rt_v b) {
    int64_t x, y;
    if (rt_num_sign(b) == 0) return 0;
    if (both_small(a, b, &x, &y)) return rt_int(y == -1 ? 0 : x % y);
    rt_big p, q, rest;
    if (!both_big(a, b, &p, &q)) return 0;
    rt_big_divmod(&p, &q, 0, &rest);
    return rt_big_to_num(&rest);
}

rt_v rt_num_neg(rt_v a) {
    int64_t x;
    if (rt_num_is_int(a, &x) && x != INT64_MIN) return rt_int(-x);
    return add(rt_int(0), a, true);
}

/* The number in the form of a result. */
static rt_v normalized(rt_v a) {
    rt_big p;
    if (rt_big_from_num(&p, a)) return rt_big_to_num(&p);
    return binary_to_num(binary_from_num(a));
}

rt_v rt_num_abs(rt_v a) {
    if (rt_num_sign(a) < 0) return rt_num_neg(a);
    return a->kind == RT_NUM_INT ? a : normalized(a);
}

/* The integer towards zero of a number that is none; *half: -1 when less than a half stands behind the point, else 0 or 1. */
static rt_v truncated(rt_v a, int *half) {
    rt_decimal d;
    rt_num_decimal(a, &d);
    if (d.point < 0) {
        *half = -1;
        return rt_int(0);
    }
    size_t whole = (size_t)d.point; /* less than d.count, as the number is no integer */
    const char *rest = d.digits + whole;
    *half = rest[0] > '5' ? 1 : rest[0] < '5' ? -1 : d.count - whole > 1;
    rt_big p;
    rt_big_from_digits(&p, d.digits, whole, 10);
    p.negative = d.negative && p.len;
    return rt_big_to_num(&p);
}

static rt_v step(rt_v a, int64_t by) { return rt_num_add(a, rt_int(by)); }

rt_v rt_num_floor(rt_v a) {
    int half;
    if (a->kind == RT_NUM_INT) return a;
    if (rt_num_is_integer(a)) return normalized(a);
    rt_v whole = truncated(a, &half);
    return rt_num_sign(a) < 0 ? step(whole, -1) : whole;
}

rt_v rt_num_ceil(rt_v a) {
    int half;
    if (a->kind == RT_NUM_INT) return a;
    if (rt_num_is_integer(a)) return normalized(a);
    rt_v whole = truncated(a, &half);
    return rt_num_sign(a) > 0 ? step(whole, 1) : whole;
}

rt_v rt_num_round(rt_v a) {
    int half;
    if (a->kind == RT_NUM_INT) return a;
    if (rt_num_is_integer(a)) return normalized(a);
    rt_v whole = truncated(a, &half);
    return half < 0 ? whole : step(whole, rt_num_sign(a));
}
