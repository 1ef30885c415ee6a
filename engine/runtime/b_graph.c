/* walk, graph.reachable, graph.reachable_paths. */
#include "b_common.h"

static rt_v extended(rt_v path, rt_v key) {
    rt_v result = rt_array((int32_t)rt_array_len(path) + 1);
    for (RT_EACH(i, n, path)) rt_array_push(result, rt_array_at(path, i));
    rt_array_push(result, key);
    return result;
}

static void visit(rt_v result, rt_v path, rt_v v) {
    if (rt_array_len(path) > RT_VALUE_DEPTH_MAX) rt_abort(RT_ERR_DEPTH, "walk: document is nested too deeply");
    rt_v pair = rt_array(2);
    rt_array_push(pair, path);
    rt_array_push(pair, v);
    rt_array_push(result, pair);
    switch (v->tag) {
    case RT_ARRAY:
        for (RT_EACH(i, n, v)) visit(result, extended(path, rt_int(i)), rt_array_at(v, i));
        break;
    case RT_OBJECT:
        rt_sorted(v);
        for (RT_EACH(i, n, v)) visit(result, extended(path, rt_object_key(v, i)), rt_object_value(v, i));
        break;
    case RT_SET:
        rt_sorted(v);
        for (RT_EACH(i, n, v)) visit(result, extended(path, rt_set_at(v, i)), rt_set_at(v, i));
        break;
    default: break;
    }
}

/* All [path, value] pairs, a node before its children. The planner iterates over the array. */
RT_EXPORT rt_v bi_walk(rt_v v) {
    if (!v) return 0;
    rt_v result = rt_array(16);
    visit(result, rt_array(0), v);
    return result;
}

RT_EXPORT rt_v bi_graph_reachable(rt_v graph, rt_v initial) {
    B_OBJECT("graph.reachable", 1, graph);
    if (!b_is_items(initial)) return rt_type_error("graph.reachable", 2, "{array, set}", initial);
    rt_v queue = rt_array(16);
    rt_v reached = rt_set(16);
    uint32_t n = b_items(initial);
    for (uint32_t i = 0; i < n; i++) rt_array_push(queue, b_item(initial, i));
    for (uint32_t at = 0; at < rt_array_len(queue); at++) {
        rt_v node = rt_array_at(queue, at);
        if (rt_set_get(reached, node)) continue;
        rt_v edges = rt_object_get(graph, node);
        if (!edges) continue;
        rt_set_put(reached, node);
        if (!b_is_items(edges)) continue;
        uint32_t m = b_items(edges);
        for (uint32_t k = 0; k < m; k++) {
            if (!rt_set_get(reached, b_item(edges, k))) rt_array_push(queue, b_item(edges, k));
        }
    }
    return reached;
}

/* Follows every edge out of `node`; a neighbour that was reached before ends the path in front of it. `reached` is
 * shared by all branches below one start, as in OPA. */
static void follow(rt_v graph, rt_v node, rt_v path, rt_v result, rt_v reached) {
    if (rt_array_len(path) > RT_VALUE_DEPTH_MAX) rt_abort(RT_ERR_DEPTH, "graph.reachable_paths: path is too long");
    rt_v edges = rt_object_get(graph, node);
    if (edges) path = extended(path, node);
    if (!edges || !b_is_items(edges) || b_items(edges) == 0) {
        rt_set_put(result, path);
        return;
    }
    uint32_t n = b_items(edges);
    for (uint32_t i = 0; i < n; i++) {
        rt_v neighbour = b_item(edges, i);
        if (rt_set_get(reached, neighbour)) {
            rt_set_put(result, path);
        } else {
            rt_set_put(reached, node);
            follow(graph, neighbour, path, result, reached);
        }
    }
}

RT_EXPORT rt_v bi_graph_reachable_paths(rt_v graph, rt_v initial) {
    B_OBJECT("graph.reachable_paths", 1, graph);
    if (!b_is_items(initial)) return rt_type_error("graph.reachable_paths", 2, "{array, set}", initial);
    rt_v result = rt_set(8);
    uint32_t n = b_items(initial);
    for (uint32_t i = 0; i < n; i++) {
        rt_v node = b_item(initial, i);
        rt_v edges = rt_object_get(graph, node);
        if (!edges) continue;
        rt_v path = rt_array(1);
        rt_array_push(path, node);
        uint32_t m = b_is_items(edges) ? b_items(edges) : 0;
        if (m == 0) rt_set_put(result, path);
        for (uint32_t k = 0; k < m; k++) {
            rt_v reached = rt_set(4);
            rt_set_put(reached, node);
            follow(graph, b_item(edges, k), path, result, reached);
        }
    }
    return result;
}
