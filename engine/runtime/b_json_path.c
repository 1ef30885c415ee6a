/* json.filter and json.remove: paths become a tree of objects whose leaves are null, which is laid over the document. */
#include "b_common.h"

rt_v b_path_segments(const char *name, rt_v path) {
    if (rt_tag(path) == RT_ARRAY) return path;
    if (rt_tag(path) != RT_STRING)
        return b_operand_error_text(name, 2, "must be one of {set, array} containing string paths or array of path segments but got ",
                                    rt_type_name(path), "");
    rt_v result = rt_array(4);
    const char *at = rt_str(path);
    const char *end = at + rt_str_len(path);
    if (at == end) return result;
    while (at < end && *at == '/') at++;
    for (;;) {
        rt_sb sb;
        rt_sb_init(&sb, 16);
        while (at < end && *at != '/') {
            /* ~1 first, then ~0, as two passes over the text would do */
            if (*at == '~' && at + 1 < end && (at[1] == '1' || at[1] == '0')) {
                rt_sb_byte(&sb, at[1] == '1' ? '/' : '~');
                at += 2;
            } else {
                rt_sb_byte(&sb, *at++);
            }
        }
        rt_array_push(result, rt_sb_string(&sb));
        if (at >= end) return result;
        at++;
    }
}

/* A tree from all the paths; 0 after an error. */
static rt_v tree(const char *name, rt_v paths) {
    if (!b_is_items(paths)) return rt_type_error(name, 2, "one of {set, array}", paths);
    rt_v root = rt_object(4);
    uint32_t n = b_items(paths);
    for (uint32_t i = 0; i < n; i++) {
        rt_v path = b_path_segments(name, b_item(paths, i));
        if (!path) return 0;
        uint32_t len = rt_array_len(path);
        rt_v node = root;
        for (uint32_t k = 0; k < len && node; k++) {
            rt_v key = rt_array_at(path, k);
            if (k + 1 == len) {
                rt_object_put(node, key, rt_null());
                break;
            }
            rt_v child = rt_object_get(node, key);
            if (!child) {
                child = rt_object(2);
                rt_object_put(node, key, child);
            }
            node = child->tag == RT_OBJECT ? child : 0; /* a shorter path covers this one */
        }
    }
    return root;
}

static rt_v number_key(uint32_t i) {
    rt_sb sb;
    rt_sb_init(&sb, 12);
    rt_sb_int(&sb, i);
    return rt_sb_string(&sb);
}

/* What stays of v; 0 = nothing. `cut` 0: nothing is cut here; null: all of it. */
static rt_v removed(rt_v v, rt_v cut, int depth) {
    if (!cut) return v;
    if (cut->tag == RT_NULL) return 0;
    if (cut->tag != RT_OBJECT) return v;
    if (depth > RT_VALUE_DEPTH_MAX) rt_abort(RT_ERR_DEPTH, "json.remove: document is nested too deeply");
    rt_v result, left;
    switch (v->tag) {
    case RT_OBJECT:
        rt_sorted(v);
        result = rt_object((int32_t)rt_table_len(v));
        for (RT_EACH(i, n, v)) {
            left = removed(rt_object_value(v, i), rt_object_get(cut, rt_object_key(v, i)), depth + 1);
            if (left) rt_object_put(result, rt_object_key(v, i), left);
        }
        return result;
    case RT_SET:
        rt_sorted(v);
        result = rt_set((int32_t)rt_table_len(v));
        for (RT_EACH(i, n, v)) {
            left = removed(rt_set_at(v, i), rt_object_get(cut, rt_set_at(v, i)), depth + 1);
            if (left) rt_set_put(result, left);
        }
        return result;
    case RT_ARRAY:
        result = rt_array((int32_t)rt_array_len(v));
        for (RT_EACH(i, n, v)) {
            left = removed(rt_array_at(v, i), rt_object_get(cut, number_key(i)), depth + 1);
            if (left) rt_array_push(result, left);
        }
        return result;
    default: return v;
    }
}

RT_EXPORT rt_v bi_json_remove(rt_v object, rt_v paths) {
    B_OBJECT("json.remove", 1, object);
    rt_v cut = tree("json.remove", paths);
    return cut ? removed(object, cut, 0) : 0;
}

/* What of v the tree names. */
static rt_v filtered(rt_v v, rt_v keep, int depth) {
    if (keep->tag != RT_OBJECT) return v;
    if (depth > RT_VALUE_DEPTH_MAX) rt_abort(RT_ERR_DEPTH, "json.filter: document is nested too deeply");
    rt_v result, wanted;
    switch (v->tag) {
    case RT_OBJECT:
        rt_sorted(v);
        result = rt_object(0);
        for (RT_EACH(i, n, v)) {
            wanted = rt_object_get(keep, rt_object_key(v, i));
            if (wanted) rt_object_put(result, rt_object_key(v, i), filtered(rt_object_value(v, i), wanted, depth + 1));
        }
        return result;
    case RT_SET:
        rt_sorted(v);
        result = rt_set(0);
        for (RT_EACH(i, n, v)) {
            wanted = rt_object_get(keep, rt_set_at(v, i));
            if (wanted) rt_set_put(result, filtered(rt_set_at(v, i), wanted, depth + 1));
        }
        return result;
    case RT_ARRAY:
        result = rt_array(0);
        for (RT_EACH(i, n, v)) {
            wanted = rt_object_get(keep, number_key(i));
            if (wanted) rt_array_push(result, filtered(rt_array_at(v, i), wanted, depth + 1));
        }
        return result;
    default: return v;
    }
}

RT_EXPORT rt_v bi_json_filter(rt_v object, rt_v paths) {
    B_OBJECT("json.filter", 1, object);
    rt_v keep = tree("json.filter", paths);
    return keep ? filtered(object, keep, 0) : 0;
}
