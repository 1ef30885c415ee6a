/* net.cidr_*: what a text of an address or a block means, whether one holds the other, and blocks merged and taken apart.
 * Nothing reaches a network. */
#include "b_common.h"

/* An address, IPv4 in the last four bytes; `bits` of it belong to the block (32 or 128: an address alone). */
typedef struct {
    uint8_t bytes[16];
    uint32_t bits;
    bool four;
} block;

/* Four decimal numbers, no leading zeros. */
static bool read_four(const char *at, const char *end, uint8_t *out) {
    for (int i = 0; i < 4; i++) {
        if (i && (at == end || *at++ != '.')) return false;
        const char *from = at;
        unsigned value = 0;
        while (at < end && (unsigned)(*at - '0') < 10 && at - from < 3) value = value * 10 + (unsigned)(*at++ - '0');
        if (at == from || value > 255 || (*from == '0' && at - from > 1)) return false;
        out[i] = (uint8_t)value;
    }
    return at == end;
}

static int hex_digit(char c) {
    int lower = (unsigned char)c | 0x20;
    if (c >= '0' && c <= '9') return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Eight groups of up to four hexadecimal digits; `::` once for groups of zero; an IPv4 address for the last two. */
static bool read_six(const char *at, const char *end, uint8_t *out) {
    size_t count = 0, gap = SIZE_MAX;
    memset(out, 0, 16);
    if (end - at >= 2 && at[0] == ':' && at[1] == ':') {
        gap = 0;
        at += 2;
    }
    while (at < end) {
        const char *from = at;
        unsigned value = 0;
        while (at < end && hex_digit(*at) >= 0 && at - from < 4) value = value << 4 | (unsigned)hex_digit(*at++);
        if (at < end && *at == '.') {
            if (count > 12 || !read_four(from, end, out + count)) return false;
            count += 4;
            break;
        }
        if (at == from || count > 14) return false;
        out[count++] = (uint8_t)(value >> 8);
        out[count++] = (uint8_t)value;
        if (at == end) break;
        if (*at++ != ':' || at == end) return false;
        if (*at == ':') {
            if (gap != SIZE_MAX) return false;
            gap = count;
            at++;
        }
    }
    if (gap == SIZE_MAX) return count == 16;
    if (count > 14) return false;
    memmove(out + 16 - (count - gap), out + gap, count - gap);
    memset(out + gap, 0, 16 - count);
    return true;
}

static bool is_mapped(const uint8_t *bytes) {
    for (int i = 0; i < 10; i++)
        if (bytes[i]) return false;
    return bytes[10] == 0xFF && bytes[11] == 0xFF;
}

/* An address as OPA takes it: one of IPv6 that maps one of IPv4 is that. */
static bool read_address(const char *at, const char *end, block *out) {
    memset(out->bytes, 0, 12);
    out->four = read_four(at, end, out->bytes + 12);
    if (!out->four && !read_six(at, end, out->bytes)) return false;
    out->bits = out->four ? 32 : 128;
    return true;
}

static void unmap(block *b) {
    if (b->four || b->bits < 96 || !is_mapped(b->bytes)) return;
    b->four = true;
    b->bits -= 96;
    memset(b->bytes, 0, 12);
}

static void clear_host_part(block *b) {
    uint32_t keep = b->four ? b->bits + 96 : b->bits;
    for (uint32_t i = keep / 8; i < 16; i++) b->bytes[i] &= (uint8_t)(i == keep / 8 ? 0xFF00u >> keep % 8 : 0);
}

static bool read_block(rt_v text, block *out) {
    const char *at = rt_str(text), *end = at + rt_str_len(text), *slash = at;
    while (slash < end && *slash != '/') slash++;
    if (slash == end || slash + 1 == end || end - slash > 8 || !read_address(at, slash, out)) return false;
    uint32_t bits = 0;
    for (const char *c = slash + 1; c < end; c++) {
        if ((unsigned)(*c - '0') >= 10) return false;
        bits = bits * 10 + (uint32_t)(*c - '0');
    }
    if (bits > out->bits) return false;
    out->bits = bits;
    clear_host_part(out);
    unmap(out);
    return true;
}

static rt_v bad_text(const char *name, const char *what, rt_v text) {
    rt_sb sb;
    rt_sb_init(&sb, 64);
    rt_sb_text(&sb, what);
    rt_sb_value(&sb, text);
    return rt_builtin_error_value(name, rt_sb_string(&sb));
}

static rt_v bad_block(const char *name, rt_v text) { return bad_text(name, "invalid CIDR address: ", text); }

/* Whether the first `bits` of both are the same. */
static bool agree(const block *a, const block *b, uint32_t bits) {
    uint32_t from = a->four ? 12 : 0, whole = bits / 8;
    if (memcmp(a->bytes + from, b->bytes + from, whole) != 0) return false;
    return bits % 8 == 0 || ((a->bytes[from + whole] ^ b->bytes[from + whole]) & (uint8_t)(0xFF00u >> bits % 8)) == 0;
}

/* An address, or else a block. */
static bool read_either(rt_v text, block *out) {
    if (!read_address(rt_str(text), rt_str(text) + rt_str_len(text), out)) return read_block(text, out);
    unmap(out);
    return true;
}

static rt_v bad_either(const char *name, rt_v text) {
    return bad_text(name, "not a valid textual representation of an IP address or CIDR: ", text);
}

static bool holds(const block *outer, const block *inner) {
    return outer->four == inner->four && outer->bits <= inner->bits && agree(outer, inner, outer->bits);
}

static rt_v contains(const char *name, rt_v cidr, rt_v other) {
    block outer, inner;
    B_STRING(name, 1, cidr);
    if (!read_block(cidr, &outer)) return bad_block(name, cidr);
    B_STRING(name, 1, other); /* OPA counts both as the first */
    if (!read_either(other, &inner)) return bad_either(name, other);
    return rt_bool(holds(&outer, &inner));
}

RT_EXPORT rt_v bi_net_cidr_contains(rt_v cidr, rt_v other) { return contains("net.cidr_contains", cidr, other); }
RT_EXPORT rt_v bi_net_cidr_overlap(rt_v cidr, rt_v other) { return contains("net.cidr_overlap", cidr, other); }

RT_EXPORT rt_v bi_net_cidr_intersects(rt_v a, rt_v b) {
    static const char name[] = "net.cidr_intersects";
    block x, y;
    B_STRING(name, 1, a);
    if (!read_block(a, &x)) return bad_block(name, a);
    B_STRING(name, 1, b);
    if (!read_block(b, &y)) return bad_block(name, b);
    return rt_bool(x.four == y.four && agree(&x, &y, x.bits < y.bits ? x.bits : y.bits));
}

RT_EXPORT rt_v bi_net_cidr_is_valid(rt_v cidr) {
    block b;
    return rt_bool(rt_tag(cidr) == RT_STRING && read_block(cidr, &b));
}

/* ---- many blocks ---- */

/* Addresses of net.cidr_expand: 2 to the power of this. */
#define EXPAND_BITS 18

/* An address as a number: of IPv4, the low 32 bits. */
typedef struct {
    uint64_t high, low;
} address;

static address number_of(const uint8_t *bytes) {
    address a = {0, 0};
    for (int i = 0; i < 8; i++) {
        a.high = a.high << 8 | bytes[i];
        a.low = a.low << 8 | bytes[i + 8];
    }
    return a;
}

static int compare(address a, address b) {
    if (a.high != b.high) return a.high < b.high ? -1 : 1;
    return a.low == b.low ? 0 : a.low < b.low ? -1 : 1;
}

static address next(address a) {
    a.low++;
    a.high += a.low == 0;
    return a;
}

/* `bits` ones. */
static address ones(uint32_t bits) {
    address a = {0, 0};
    if (bits) a.low = UINT64_MAX >> (bits < 64 ? 64 - bits : 0);
    if (bits > 64) a.high = UINT64_MAX >> (128 - bits);
    return a;
}

static address last_of(address first, uint32_t host_bits) {
    address tail = ones(host_bits);
    return (address){first.high | tail.high, first.low | tail.low};
}

static uint32_t width(bool four) { return four ? 32 : 128; }

static void four_text(rt_sb *sb, uint64_t a) {
    for (int shift = 24; shift >= 0; shift -= 8) {
        rt_sb_int(sb, (int64_t)(a >> shift & 0xFF));
        if (shift) rt_sb_byte(sb, '.');
    }
}

static void group_text(rt_sb *sb, uint32_t group) {
    int shift = 12;
    while (shift && !(group >> shift)) shift -= 4;
    for (; shift >= 0; shift -= 4) rt_sb_byte(sb, "0123456789abcdef"[group >> shift & 15]);
}

/* The longest run of two groups of zero or more, the first of equals, is `::`. */
static void six_text(rt_sb *sb, address a) {
    uint32_t groups[8], gap = 8, gap_len = 1;
    for (uint32_t i = 0; i < 8; i++) groups[i] = (uint32_t)((i < 4 ? a.high : a.low) >> (48 - 16 * (i & 3)) & 0xFFFF);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t n = 0;
        while (i + n < 8 && groups[i + n] == 0) n++;
        if (n > gap_len) {
            gap = i;
            gap_len = n;
        }
    }
    for (uint32_t i = 0; i < 8; i++) {
        if (i == gap) {
            rt_sb_text(sb, "::");
            i += gap_len - 1;
            continue;
        }
        if (i && i != gap + gap_len) rt_sb_byte(sb, ':');
        group_text(sb, groups[i]);
    }
}

static void address_text(rt_sb *sb, address a, bool four) {
    if (four)
        four_text(sb, a.low);
    else
        six_text(sb, a);
}

static rt_v block_text(address a, uint32_t bits, bool four) {
    rt_sb sb;
    rt_sb_init(&sb, 48);
    address_text(&sb, a, four);
    rt_sb_byte(&sb, '/');
    rt_sb_int(&sb, bits);
    return rt_sb_string(&sb);
}

RT_EXPORT rt_v bi_net_cidr_expand(rt_v cidr) {
    static const char name[] = "net.cidr_expand";
    block b;
    B_STRING(name, 1, cidr);
    if (!read_block(cidr, &b)) return bad_block(name, cidr);
    uint32_t host_bits = width(b.four) - b.bits;
    if (host_bits > EXPAND_BITS) {
        rt_sb sb;
        rt_sb_init(&sb, 64);
        rt_sb_value(&sb, cidr);
        rt_sb_text(&sb, " has more than ");
        rt_sb_int(&sb, 1 << EXPAND_BITS);
        rt_sb_text(&sb, " addresses");
        return rt_builtin_error_value(name, rt_sb_string(&sb));
    }
    rt_v out = rt_set(1 << host_bits);
    address a = number_of(b.bytes);
    for (uint32_t left = 1u << host_bits; left; left--, a = next(a)) {
        rt_sb sb;
        rt_sb_init(&sb, 16);
        address_text(&sb, a, b.four);
        rt_set_put(out, rt_sb_string(&sb));
    }
    return out;
}

/* Addresses without a gap. `shown` is the text of a block that nothing was merged with, else 0. */
typedef struct {
    address first, last;
    rt_v shown;
    bool four;
} range;

/* The prefix of the classful days, which OPA gives to an address without one. */
static uint32_t class_bits(const block *b) { return b->bytes[12] < 128 ? 8 : b->bytes[12] < 192 ? 16 : 24; }

/* False after an error. */
static bool read_range(const char *name, rt_v text, range *out) {
    block b;
    if (rt_tag(text) != RT_STRING) {
        (void)rt_builtin_error(name, "element must be string");
        return false;
    }
    bool bare = read_address(rt_str(text), rt_str(text) + rt_str_len(text), &b);
    if (bare) {
        unmap(&b);
        if (!b.four) {
            (void)rt_builtin_error(name, "IPv6 invalid: needs prefix length");
            return false;
        }
        b.bits = class_bits(&b);
    } else if (!read_block(text, &b)) {
        (void)bad_block(name, text);
        return false;
    }
    out->four = b.four;
    out->shown = block_text(number_of(b.bytes), b.bits, b.four); /* of an address without prefix, the host part too */
    if (bare) clear_host_part(&b);
    out->first = number_of(b.bytes);
    out->last = last_of(out->first, width(b.four) - b.bits);
    return true;
}

static void hex_text(rt_sb *sb, address a) {
    for (int shift = 60; shift >= 0; shift -= 4) rt_sb_byte(sb, "0123456789abcdef"[a.high >> shift & 15]);
    for (int shift = 60; shift >= 0; shift -= 4) rt_sb_byte(sb, "0123456789abcdef"[a.low >> shift & 15]);
}

/* A text whose order is that of families, ends and beginnings. */
static rt_v order_key(const range *r) {
    rt_sb sb;
    rt_sb_init(&sb, 66);
    rt_sb_byte(&sb, r->four ? '4' : '6');
    hex_text(&sb, r->last);
    hex_text(&sb, r->first);
    return rt_sb_string(&sb);
}

/* The fewest blocks that hold just these addresses: at most two of each size. */
static void put_blocks(rt_v out, const range *r) {
    if (r->shown) {
        rt_set_put(out, r->shown);
        return;
    }
    for (address a = r->first;; a = next(a)) {
        uint32_t bits = width(r->four);
        address end = last_of(a, bits), tail = ones(bits);
        while (bits && ((a.high & tail.high) || (a.low & tail.low) || compare(end, r->last) > 0)) {
            bits--;
            end = last_of(a, bits);
            tail = ones(bits);
        }
        rt_set_put(out, block_text(a, width(r->four) - bits, r->four));
        a = end;
        if (compare(a, r->last) == 0) return;
    }
}

/* Whether `before`, which ends no later, reaches up to it. */
static bool meets(const range *before, const range *r) {
    return before->four == r->four && (compare(r->first, before->last) <= 0 || compare(r->first, next(before->last)) == 0);
}

RT_EXPORT rt_v bi_net_cidr_merge(rt_v blocks) {
    static const char name[] = "net.cidr_merge";
    if (!b_is_items(blocks)) return rt_builtin_error(name, "operand must be an array");
    uint32_t count = b_items(blocks);
    range *ranges = rt_alloc_array(count + 1u, sizeof *ranges);
    rt_v order = rt_object(b_cap(count)), out = rt_set(0);
    for (uint32_t i = 0; i < count; i++) {
        if (!read_range(name, b_item(blocks, i), &ranges[i])) return 0;
        rt_v key = order_key(&ranges[i]), same = rt_object_get(order, key);
        int64_t twin;
        if (same && rt_num_is_int(same, &twin))
            ranges[twin].shown = 0;
        else
            rt_object_put(order, key, rt_int(i));
    }
    rt_sorted(order);
    range merged;
    bool any = false;
    for (uint32_t i = rt_table_len(order); i > 0; i--) {
        int64_t at = 0;
        (void)rt_num_is_int(rt_object_value(order, i - 1), &at);
        const range *r = &ranges[at];
        if (any && meets(r, &merged)) {
            if (compare(r->first, merged.first) < 0) merged.first = r->first;
            merged.shown = 0;
            continue;
        }
        if (any) put_blocks(out, &merged);
        merged = *r;
        any = true;
    }
    if (any) put_blocks(out, &merged);
    return out;
}

/* The texts of an operand of net.cidr_contains_matches: itself, or its items. */
static uint32_t candidates(rt_v v) {
    if (rt_tag(v) == RT_STRING) return 1;
    if (rt_tag(v) == RT_OBJECT) {
        rt_sorted(v);
        return rt_table_len(v);
    }
    return b_is_items(v) ? b_items(v) : 0;
}

/* What stands for a candidate in the result, and (in `text`) its text or the first item of the array that it is; 0 after an error. */
static rt_v candidate(const char *name, int operand, rt_v v, uint32_t i, rt_v *text) {
    rt_v item = v, stands = v;
    if (rt_tag(v) == RT_OBJECT) {
        item = rt_object_value(v, i);
        stands = rt_object_key(v, i);
    } else if (rt_tag(v) != RT_STRING) {
        item = b_item(v, i);
        stands = rt_tag(v) == RT_ARRAY ? rt_int(i) : item;
    }
    if (rt_tag(item) == RT_ARRAY && rt_array_len(item)) {
        *text = rt_array_at(item, 0);
    } else if (rt_tag(item) == RT_STRING) {
        *text = item;
    } else {
        const char *said = operand == 1 ? "operand 1: element must be string or non-empty array"
                                        : "operand 2: element must be string or non-empty array";
        return rt_builtin_error(name, said);
    }
    return stands;
}

RT_EXPORT rt_v bi_net_cidr_contains_matches(rt_v cidrs, rt_v others) {
    static const char name[] = "net.cidr_contains_matches";
    uint32_t outer_count = candidates(cidrs), inner_count = candidates(others);
    block outer, *inners = rt_alloc_array(inner_count + 1u, sizeof *inners);
    rt_v out = rt_set(0), text;
    for (uint32_t i = 0; i < outer_count; i++) {
        rt_v first = candidate(name, 1, cidrs, i, &text), cidr = text;
        if (!first) return 0;
        for (uint32_t k = 0; k < inner_count; k++) {
            rt_v second = candidate(name, 2, others, k, &text);
            if (!second) return 0;
            if (k == 0) {
                B_STRING(name, 1, cidr);
                if (!read_block(cidr, &outer)) return bad_block(name, cidr);
            }
            if (i == 0) { /* after that all of them are read */
                B_STRING(name, 1, text);
                if (!read_either(text, &inners[k])) return bad_either(name, text);
            }
            if (!holds(&outer, &inners[k])) continue;
            rt_v pair = rt_array(2);
            rt_array_push(pair, first);
            rt_array_push(pair, second);
            rt_set_put(out, pair);
        }
    }
    return out;
}
