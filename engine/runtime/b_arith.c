/* Arithmetic, comparison and ranges of numbers. */
#include "b_common.h"

#define B_TWO_NUMBERS(name) \
    B_NUMBER(name, 1, a);   \
    B_NUMBER(name, 2, b)

RT_EXPORT rt_v bi_plus(rt_v a, rt_v b) {
    B_TWO_NUMBERS("plus");
    return rt_num_add(a, b);
}

RT_EXPORT rt_v bi_mul(rt_v a, rt_v b) {
    B_TWO_NUMBERS("mul");
    return rt_num_mul(a, b);
}

RT_EXPORT rt_v bi_div(rt_v a, rt_v b) {
    B_TWO_NUMBERS("div");
    rt_v result = rt_num_div(a, b);
    return result ? result : rt_builtin_error("div", "divide by zero");
}

RT_EXPORT rt_v bi_rem(rt_v a, rt_v b) {
    B_TWO_NUMBERS("rem");
    if (!rt_num_is_integer(a) || !rt_num_is_integer(b)) return rt_builtin_error("rem", "modulo on floating-point number");
    if (rt_num_sign(b) == 0) return rt_builtin_error("rem", "modulo by zero");
    return rt_num_rem(a, b);
}

RT_EXPORT rt_v bi_minus(rt_v a, rt_v b) {
    uint8_t left = rt_tag(a);
    if (left == RT_NUMBER) {
        B_NUMBER("minus", 2, b);
        return rt_num_sub(a, b);
    }
    if (left != RT_SET) return rt_type_error("minus", 1, "one of {number, set}", a);
    if (rt_tag(b) == RT_NUMBER) return rt_type_error("minus", 2, "set", b);
    if (rt_tag(b) != RT_SET) return rt_type_error("minus", 2, "number", b);
    rt_sorted(a);
    rt_v result = rt_set((int32_t)rt_table_len(a));
    for (RT_EACH(i, n, a)) {
        if (!rt_set_get(b, rt_set_at(a, i))) rt_set_put(result, rt_set_at(a, i));
    }
    return result;
}

RT_EXPORT rt_v bi_abs(rt_v a) {
    B_NUMBER("abs", 1, a);
    return rt_num_abs(a);
}

RT_EXPORT rt_v bi_ceil(rt_v a) {
    B_NUMBER("ceil", 1, a);
    return rt_num_ceil(a);
}

RT_EXPORT rt_v bi_floor(rt_v a) {
    B_NUMBER("floor", 1, a);
    return rt_num_floor(a);
}

RT_EXPORT rt_v bi_round(rt_v a) {
    B_NUMBER("round", 1, a);
    return rt_num_round(a);
}

RT_EXPORT rt_v bi_equal(rt_v a, rt_v b) { return rt_bool(rt_equal(a, b)); }
RT_EXPORT rt_v bi_neq(rt_v a, rt_v b) { return rt_bool(!rt_equal(a, b)); }
RT_EXPORT rt_v bi_lt(rt_v a, rt_v b) { return rt_bool(rt_compare(a, b) < 0); }
RT_EXPORT rt_v bi_lte(rt_v a, rt_v b) { return rt_bool(rt_compare(a, b) <= 0); }
RT_EXPORT rt_v bi_gt(rt_v a, rt_v b) { return rt_bool(rt_compare(a, b) > 0); }
RT_EXPORT rt_v bi_gte(rt_v a, rt_v b) { return rt_bool(rt_compare(a, b) >= 0); }

/* From a to b, both included. The arena's limit ends what is too long. */
static rt_v range(const char *name, rt_v a, rt_v b, rt_v step) {
    rt_v operands[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        if (rt_tag(operands[i]) != RT_NUMBER) return rt_type_error(name, i + 1, "integer", operands[i]);
        if (!rt_num_is_integer(operands[i]))
            return rt_operand_error(name, i + 1, "must be integer number but got floating-point number");
    }
    int order = rt_num_compare(a, b);
    rt_v result = rt_array(0);
    int64_t from, to, by;
    if (rt_num_to_int(a, &from) && rt_num_to_int(b, &to) && rt_num_to_int(step, &by)) {
        for (int64_t i = from; order <= 0 ? i <= to : i >= to;) {
            rt_array_push(result, rt_int(i));
            if (order <= 0 ? __builtin_add_overflow(i, by, &i) : __builtin_sub_overflow(i, by, &i)) break;
        }
        return result;
    }
    for (rt_v i = a; order <= 0 ? rt_num_compare(i, b) <= 0 : rt_num_compare(i, b) >= 0;) {
        rt_array_push(result, i);
        i = order <= 0 ? rt_num_add(i, step) : rt_num_sub(i, step);
    }
    return result;
}

RT_EXPORT rt_v bi_numbers_range(rt_v a, rt_v b) { return range("numbers.range", a, b, rt_int(1)); }

RT_EXPORT rt_v bi_numbers_range_step(rt_v a, rt_v b, rt_v step) {
    const char *name = "numbers.range_step";
    const rt_value *operands[] = {a, b, step};
    for (int i = 0; i < 3; i++) {
        if (rt_tag(operands[i]) != RT_NUMBER) return rt_type_error(name, i + 1, "integer", operands[i]);
        if (!rt_num_is_integer(operands[i]))
            return rt_operand_error(name, i + 1, "must be integer number but got floating-point number");
    }
    if (rt_num_sign(step) <= 0) return rt_builtin_error(name, "numbers.range_step: step must be a positive integer");
    return range(name, a, b, step);
}

RT_EXPORT rt_v bi_format_int(rt_v number, rt_v base) {
    B_NUMBER("format_int", 1, number);
    B_NUMBER("format_int", 2, base);
    int64_t radix;
    if (!rt_num_is_int(base, &radix) || (radix != 2 && radix != 8 && radix != 10 && radix != 16))
        return rt_operand_error("format_int", 2, "must be one of {2, 8, 10, 16}");
    rt_v whole = rt_num_sign(number) < 0 ? rt_num_ceil(number) : rt_num_floor(number);
    rt_big big;
    if (!rt_big_from_num(&big, whole)) return rt_builtin_error("format_int", "number is too large");
    rt_sb sb;
    rt_sb_init(&sb, 24);
    rt_sb_big(&sb, &big, (uint32_t)radix);
    return rt_sb_string(&sb);
}
