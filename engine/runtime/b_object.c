/* Objects: lookup, union, choice of keys, subsets. Paths of json.filter and json.remove are in b_json_path.c. */
#include "b_common.h"

RT_EXPORT rt_v bi_object_get(rt_v object, rt_v key, rt_v otherwise) {
    B_OBJECT("object.get", 1, object);
    if (rt_tag(key) != RT_ARRAY) {
        rt_v found = rt_object_get(object, key);
        return found ? found : otherwise;
    }
    rt_v at = object;
    for (RT_EACH(i, n, key)) {
        if (rt_tag(at) != RT_OBJECT && rt_tag(at) != RT_ARRAY && rt_tag(at) != RT_SET) return otherwise;
        at = rt_get(at, rt_array_at(key, i));
        if (!at) return otherwise;
    }
    return at;
}

RT_EXPORT rt_v bi_object_keys(rt_v object) {
    B_OBJECT("object.keys", 1, object);
    rt_sorted(object);
    rt_v result = rt_set((int32_t)rt_table_len(object));
    for (RT_EACH(i, n, object)) rt_set_put(result, rt_object_key(object, i));
    return result;
}

/* The right side wins, objects on both sides are united. */
static rt_v unite(rt_v a, rt_v b, int depth) {
    if (depth > RT_VALUE_DEPTH_MAX) rt_abort(RT_ERR_DEPTH, "object.union: objects are nested too deeply");
    rt_v result = rt_object(b_cap((size_t)rt_table_len(a) + rt_table_len(b)));
    rt_sorted(a);
    rt_sorted(b);
    for (RT_EACH(i, n, a)) rt_object_put(result, rt_object_key(a, i), rt_object_value(a, i));
    for (RT_EACH(i, n, b)) {
        rt_v key = rt_object_key(b, i), value = rt_object_value(b, i);
        rt_v old = rt_object_get(a, key);
        if (rt_tag(old) == RT_OBJECT && rt_tag(value) == RT_OBJECT) value = unite(old, value, depth + 1);
        rt_object_put(result, key, value);
    }
    return result;
}

RT_EXPORT rt_v bi_object_union(rt_v a, rt_v b) {
    B_OBJECT("object.union", 1, a);
    B_OBJECT("object.union", 2, b);
    if (rt_table_len(a) == 0) return b;
    if (rt_table_len(b) == 0) return a;
    return unite(a, b, 0);
}

RT_EXPORT rt_v bi_object_union_n(rt_v objects) {
    B_ARRAY("object.union_n", 1, objects);
    for (RT_EACH(i, n, objects)) {
        rt_v one = rt_array_at(objects, i);
        if (rt_tag(one) != RT_OBJECT) return b_element_error("object.union_n", 1, objects, one, "object");
    }
    rt_v result = rt_object(0);
    for (RT_EACH(i, n, objects)) result = unite(result, rt_array_at(objects, i), 0);
    return result;
}

/* object.remove (keep = false) and object.filter (keep = true). */
static rt_v choose(const char *name, rt_v object, rt_v keys, bool keep) {
    B_OBJECT(name, 1, object);
    rt_v wanted = keys;
    if (rt_tag(keys) == RT_ARRAY) {
        wanted = rt_set((int32_t)rt_array_len(keys));
        for (RT_EACH(i, n, keys)) rt_set_put(wanted, rt_array_at(keys, i));
    } else if (rt_tag(keys) != RT_OBJECT && rt_tag(keys) != RT_SET) {
        return rt_type_error(name, 2, "one of {object, set, array}", keys);
    }
    rt_sorted(object);
    rt_v result = rt_object(0);
    for (RT_EACH(i, n, object)) {
        rt_v key = rt_object_key(object, i);
        rt_v found = wanted->tag == RT_SET ? rt_set_get(wanted, key) : rt_object_get(wanted, key);
        if ((found != 0) == keep) rt_object_put(result, key, rt_object_value(object, i));
    }
    return result;
}

RT_EXPORT rt_v bi_object_remove(rt_v object, rt_v keys) { return choose("object.remove", object, keys, false); }
RT_EXPORT rt_v bi_object_filter(rt_v object, rt_v keys) { return choose("object.filter", object, keys, true); }

static bool set_subset(rt_v super, rt_v sub) {
    rt_sorted(sub);
    for (RT_EACH(i, n, sub)) {
        if (!rt_set_get(super, rt_set_at(sub, i))) return false;
    }
    return true;
}

/* Contiguous; goes on behind a failed start as OPA does, one element further. */
static bool array_subset(rt_v super, rt_v sub) {
    uint32_t have = rt_array_len(super), want = rt_array_len(sub);
    for (uint32_t start = 0; want <= have && start <= have - want; start++) {
        uint32_t i = 0;
        while (i < want && rt_equal(rt_array_at(super, start + i), rt_array_at(sub, i))) i++;
        if (i == want) return true;
    }
    return false;
}

static bool object_subset(rt_v super, rt_v sub, int depth) {
    if (depth > RT_VALUE_DEPTH_MAX) rt_abort(RT_ERR_DEPTH, "object.subset: objects are nested too deeply");
    rt_sorted(sub);
    for (RT_EACH(i, n, sub)) {
        rt_v want = rt_object_value(sub, i);
        rt_v have = rt_object_get(super, rt_object_key(sub, i));
        if (!have) return false;
        if (rt_equal(have, want)) continue;
        if (have->tag != want->tag) return false;
        if (have->tag == RT_OBJECT && object_subset(have, want, depth + 1)) continue;
        if (have->tag == RT_SET && set_subset(have, want)) continue;
        if (have->tag == RT_ARRAY && array_subset(have, want)) continue;
        return false;
    }
    return true;
}

RT_EXPORT rt_v bi_object_subset(rt_v super, rt_v sub) {
    uint8_t a = rt_tag(super), b = rt_tag(sub);
    if (a == RT_OBJECT && b == RT_OBJECT) return rt_bool(object_subset(super, sub, 0));
    if (a == RT_SET && b == RT_SET) return rt_bool(set_subset(super, sub));
    if (a == RT_ARRAY && b == RT_ARRAY) return rt_bool(array_subset(super, sub));
    if (a == RT_ARRAY && b == RT_SET) {
        rt_v items = rt_set((int32_t)rt_array_len(super));
        for (RT_EACH(i, n, super)) rt_set_put(items, rt_array_at(super, i));
        return rt_bool(rt_array_len(super) > 0 && set_subset(items, sub));
    }
    return rt_type_error_text("object.subset: both arguments object.subset must be of the same type or array and set");
}
