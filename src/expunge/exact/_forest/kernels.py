"""Trees that are grown, relieved of records and asked, compiled: whole numbers in and out, so no order of work shows.

A node's candidate splits are drawn from a seed that only its path decides, inside the box of codes that its path leaves
open: `tried` features, and one threshold in each of `thresholds` strata of the box. The records decide which candidate
is best, and nothing else. A column of categories is cut otherwise: a node deals them into `groups`, drawn likewise, and
the records put the groups in the order of their mean target, or of their share of the node's most common class; a split
parts that order in two. Its threshold is below 0: ~mask of the groups that go left. Statistics are histograms: for each
feature tried, what lies between neighbouring thresholds, or in each group; a record that leaves is subtracted from one
cell a feature. They are a cache of what the records say: a node without them counts its records anew.

Nodes need no free list: under a node with n records there can never be more than `room` nodes, so it owns that many
ids from its own on; its left child has the next one, its right child the first behind the left child's. Ids therefore
ascend from parents to children and from left to right. Likewise a node owns the places START .. START + CAP of its
tree's order of records, where -1 marks who left.

All compiled functions are in this one file: numba's cache on disk notices a change in a function's own file only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])

LEAF, ABSENT = -1, -2  # in place of a node's feature
SPLIT, EDGE, RIGHT, SLOT, START, CAP = range(6)  # of a node: feature and threshold, right child, statistics, places
_FEATURE, _LOW, _WIDTH, _STRATA, _WIDE, _INVERSE = range(6)  # of a feature tried: its box, and how it is cut
CATEGORIES = -1  # in place of the lower end of a box: codes of this column have no order
_NODE, _DEPTH, _PARENT, _IS_RIGHT, _FIRST, _AFTER = range(6)  # of a node that waits its turn

_U = np.uint64
_GOLDEN, _MIX1, _MIX2 = _U(0x9E3779B97F4A7C15), _U(0xBF58476D1CE4E5B9), _U(0x94D049BB133111EB)
_GO_LEFT, _GO_RIGHT = _U(0x1D8E4E27C47D124F), _U(0xEB44ACCAB455D165)
_27, _30, _31, _32 = _U(27), _U(30), _U(31), _U(32)
_BLOCK = 256  # records whose codes stay in the nearest cache while feature after feature is counted
_EVEN = 1 + 1e-12  # a split must gain more than the rounding of its score


def compiled(function: F) -> F:
    """Compile when first called, and keep the result on disk where there is a place for it."""
    try:
        compiled: F = njit(cache=True, error_model="numpy")(function)
        return compiled
    except RuntimeError:  # numba's word for no writable place
        fresh: F = njit(error_model="numpy")(function)
        return fresh


class Shape(NamedTuple):
    """How trees grow."""

    depth: int
    thresholds: int
    tried: int
    min_leaf: int
    keep: int  # records from which a node keeps statistics
    highest: int  # of targets that are added up, from 0; or 0, where targets are codes of classes that are counted
    groups: int  # into which categories are dealt; 0 where no column holds any


class Trees(NamedTuple):
    """The trees of a forest: T trees with N ids for nodes in all; V values a node: count and sum, or a count a class."""

    seed_T: Any
    node_NA: Any  # what is read together lies together
    value_NV: Any
    order_Tn: Any
    hist: Any  # slot, feature tried, stratum, V
    free: Any  # slots that are free, and last how many

    @property
    def nbytes(self) -> int:
        return sum(int(array.nbytes) for array in self)


# -- candidates: decided by the path alone -----------------------------------------------------------------------------


@compiled
def _mixed(x: Any) -> Any:
    """SplitMix64 (Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> _30)) * _MIX1
    x = (x ^ (x >> _27)) * _MIX2
    return x ^ (x >> _31)


@compiled
def _below(random: Any, n: Any) -> Any:
    """A number in 0..n-1 from the upper half of a random one."""
    return np.int64(((random >> _32) * _U(n)) >> _32)


@compiled
def _child_seed(seed: Any, is_right: Any) -> Any:
    return _mixed((seed ^ (_GO_RIGHT if is_right else _GO_LEFT)) + _GOLDEN)


@compiled
def _draw(seed: Any, box: Any, shape: Any, tried: Any) -> None:
    """The features of a node, ascending, and how the box is cut into strata for each."""
    d, chosen = box.shape[0], 0
    for f in range(d):
        if chosen == shape.tried:
            break
        if _below(_mixed(~seed + _GOLDEN * _U(f + 1)), d - f) < shape.tried - chosen:
            row = tried[chosen]
            chosen += 1
            if box[f, 0] == CATEGORIES:
                row[_FEATURE], row[_LOW], row[_STRATA] = f, CATEGORIES, shape.groups - 1
                continue
            width = box[f, 1] - box[f, 0]
            strata = min(width, shape.thresholds)
            wide = np.int64(width / strata) if strata else 1  # the quotients of small numbers are exact, and fast
            row[_FEATURE], row[_LOW], row[_WIDTH], row[_STRATA], row[_WIDE] = f, box[f, 0], width, strata, wide
            row[_INVERSE] = np.int64(np.ceil(2.0**32 / wide))  # divides codes exactly, which are below 2^16


@compiled
def _edge(seed: Any, row: Any, s: Any) -> Any:
    """The threshold of a stratum, counted from the lower end of the box; codes up to it go left."""
    first = s * row[_WIDE]
    span = row[_WIDE] if s + 1 < row[_STRATA] else row[_WIDTH] - first
    return first + _below(_mixed(seed + _GOLDEN * _U(row[_FEATURE] * 4096 + s + 1)), span)


@compiled
def _deal(seed: Any, feature: Any) -> Any:
    """By what a node deals the categories of a feature into groups."""
    return _mixed(seed + _GOLDEN * _U(feature * 4096 + 1))


@compiled
def _group(deal: Any, code: Any, groups: Any) -> Any:
    return _below(deal * (_U(2) * _U(code) + _U(1)), groups)


@compiled
def _cell(seed: Any, row: Any, code: Any, shape: Any) -> Any:
    """How many of the thresholds on a feature lie below the code; or the group of a category."""
    if row[_LOW] == CATEGORIES:
        return _group(_deal(seed, row[_FEATURE]), code, shape.groups)
    if row[_STRATA] == 0:
        return 0
    offset = np.int64(code) - row[_LOW]
    s = min((offset * row[_INVERSE]) >> 32, row[_STRATA] - 1)
    return s + (offset > _edge(seed, row, s))


@compiled
def _split(seed: Any, row: Any, s: Any) -> Any:
    """Feature and threshold of what was found best: a stratum, or groups."""
    return row[_FEATURE], ~s if row[_LOW] == CATEGORIES else row[_LOW] + _edge(seed, row, s)


@compiled
def _step(boxes: Any, depth: Any, parent: Any, is_right: Any, trees: Any) -> None:
    """The box of a child from that of its parent, one level up."""
    for f in range(boxes.shape[1]):
        boxes[depth, f, 0], boxes[depth, f, 1] = boxes[depth - 1, f, 0], boxes[depth - 1, f, 1]
    f, edge = trees.node_NA[parent, SPLIT], trees.node_NA[parent, EDGE]
    if edge < 0:
        return
    if is_right:
        boxes[depth, f, 0] = edge + 1
    else:
        boxes[depth, f, 1] = edge


# -- which candidate is best: decided by the records --------------------------------------------------------------------


@compiled
def _count(seed: Any, members: Any, tried: Any, data: Any, shape: Any, edges: Any, hist: Any) -> None:
    """Fill the histograms of a node from its records."""
    codes, target = data
    hist[:] = 0
    for i in range(shape.tried):
        if tried[i, _LOW] != CATEGORIES:
            for s in range(tried[i, _STRATA]):
                edges[i, s] = _edge(seed, tried[i], s)
    for begin in range(0, len(members), _BLOCK):
        block = members[begin : begin + _BLOCK]
        for i in range(shape.tried):
            feature, low, inverse, last = tried[i, _FEATURE], tried[i, _LOW], tried[i, _INVERSE], tried[i, _STRATA] - 1
            if last < 0:
                continue
            cuts, cells = edges[i], hist[i]
            if low == CATEGORIES:
                deal = _deal(seed, feature)
                for member in block:
                    r = _U(member)
                    _add(cells[_U(_group(deal, codes[r, _U(feature)], shape.groups))], target[r], 1, shape)
                continue
            for member in block:
                r = _U(member)  # unsigned, an index needs no look at its sign
                offset = np.int64(codes[r, _U(feature)]) - low
                s = min((offset * inverse) >> 32, last)
                cell = _U(s + (offset > cuts[_U(s)]))
                if shape.highest:
                    cells[cell, _U(0)] += 1
                    cells[cell, _U(1)] += target[r]
                else:
                    cells[cell, _U(target[r])] += 1


@compiled
def _in_order(cells: Any, value: Any, shape: Any, order: Any) -> Any:
    """Groups that hold records, by their mean target or share of the most common class, equal ones by number; how many."""
    common, n_filled = value.argmax(), 0
    for g in range(shape.groups):
        if _size(cells[g], shape) == 0:
            continue
        place, mean = n_filled, _mean(cells[g], common, shape)
        while place > 0 and _mean(cells[order[place - 1]], common, shape) > mean:
            order[place] = order[place - 1]
            place -= 1
        order[place] = g
        n_filled += 1
    return n_filled


@compiled
def _mean(cell: Any, common: Any, shape: Any) -> Any:
    return float(cell[1] if shape.highest else cell[common]) / _size(cell, shape)


@compiled
def _best_groups(cells: Any, value: Any, shape: Any, left: Any) -> Any:
    """Score and mask of the best split of groups: those go left that hold fewer records, so that a category which none of
    a node's records has goes with the most."""
    order = np.zeros(shape.groups, np.int64)
    n_filled = _in_order(cells, value, shape, order)
    n, best, best_mask, mask = _size(value, shape), -1.0, 0, 0
    left[:] = 0
    for k in range(n_filled - 1):
        for c in range(len(value)):
            left[c] += cells[order[k], c]
        mask |= 1 << order[k]
        n_left = _size(left, shape)
        n_right = n - n_left
        if n_left < shape.min_leaf or n_right < shape.min_leaf:
            continue
        if shape.highest:
            x, y = float(left[1]), float(np.int64(value[1]) - left[1])
            score = x * x / n_left + y * y / n_right
        else:
            squares_left, squares_right = np.int64(0), np.int64(0)
            for c in range(len(value)):
                a, b = left[c], np.int64(value[c]) - left[c]
                squares_left += a * a
                squares_right += b * b
            score = squares_left / n_left + squares_right / n_right
        if score > best:
            best, best_mask = score, mask if n_left <= n_right else ~mask
    filled = 0
    for k in range(n_filled):
        filled |= 1 << order[k]
    return best, best_mask & filled


@compiled
def _filled(seed: Any, feature: Any, cells: Any, apart: Any, data: Any, shape: Any) -> Any:
    """Groups that hold a record other than these, as a mask."""
    codes, _ = data
    counts, deal, mask = np.zeros(shape.groups, np.int64), _deal(seed, feature), 0
    for r in apart:
        counts[_group(deal, codes[r, feature], shape.groups)] += 1
    for g in range(shape.groups):
        if _size(cells[g], shape) > counts[g]:
            mask |= 1 << g
    return mask


@compiled
def _best_of_sums(hist: Any, tried: Any, value: Any, shape: Any, left: Any) -> Any:
    """Row and stratum of the split with least variance on both sides; of classes 0 and 1, with least Gini impurity."""
    n, total = np.int64(value[0]), np.int64(value[1])
    best, best_row, best_s = float(total) * float(total) / n * _EVEN, -1, -1
    for i in range(shape.tried):
        if tried[i, _LOW] == CATEGORIES:
            score, mask = _best_groups(hist[i], value, shape, left)
            if score > best:
                best, best_row, best_s = score, i, mask
            continue
        n_left, sum_left = np.int64(0), np.int64(0)
        for s in range(tried[i, _STRATA]):
            more = np.int64(hist[i, s, 0])
            n_left += more
            sum_left += np.int64(hist[i, s, 1])
            n_right = n - n_left
            if more == 0 or n_left < shape.min_leaf or n_right < shape.min_leaf:
                continue
            x, y = float(sum_left), float(total - sum_left)
            score = x * x / n_left + y * y / n_right
            if score > best:  # so that of equal ones the least feature and threshold wins
                best, best_row, best_s = score, i, s
    return best_row, best_s


@compiled
def _best_of_classes(hist: Any, tried: Any, value: Any, shape: Any, left: Any) -> Any:
    """Row and stratum of the split with least Gini impurity on both sides."""
    n, squares = np.int64(value.sum()), np.int64(0)
    for c in range(len(value)):
        squares += np.int64(value[c]) * np.int64(value[c])
    best, best_row, best_s = squares / n * _EVEN, -1, -1
    for i in range(shape.tried):
        if tried[i, _LOW] == CATEGORIES:
            score, mask = _best_groups(hist[i], value, shape, left)
            if score > best:
                best, best_row, best_s = score, i, mask
            continue
        left[:] = 0
        n_left = np.int64(0)
        for s in range(tried[i, _STRATA]):
            before = n_left
            for c in range(len(value)):
                left[c] += hist[i, s, c]
                n_left += np.int64(hist[i, s, c])
            n_right = n - n_left
            if n_left == before or n_left < shape.min_leaf or n_right < shape.min_leaf:
                continue
            squares_left, squares_right = 0, 0
            for c in range(len(value)):
                x, y = left[c], np.int64(value[c]) - left[c]
                squares_left += x * x
                squares_right += y * y
            score = squares_left / n_left + squares_right / n_right
            if score > best:
                best, best_row, best_s = score, i, s
    return best_row, best_s


@compiled
def _best(hist: Any, tried: Any, value: Any, shape: Any, left: Any) -> Any:
    if shape.highest:
        return _best_of_sums(hist, tried, value, shape, left)
    return _best_of_classes(hist, tried, value, shape, left)


@compiled
def _size(value: Any, shape: Any) -> Any:
    return np.int64(value[0]) if shape.highest else np.int64(value.sum())


@compiled
def _settled(value: Any, depth: Any, shape: Any) -> Any:
    """Whether this is a leaf whatever the candidates are."""
    n = _size(value, shape)
    if depth >= shape.depth or n < 2 * shape.min_leaf:
        return True
    if shape.highest:
        return value[1] == 0 or value[1] == n * shape.highest
    return value.max() == n


@compiled
def _add(value: Any, target: Any, sign: Any, shape: Any) -> None:
    if shape.highest:
        value[0] += sign
        value[1] += sign * target
    else:
        value[target] += sign


# -- nodes, statistics and places ---------------------------------------------------------------------------------------


@compiled
def room(n: Any, depth: Any, shape: Any) -> Any:
    """Most nodes that n records can make from this depth on, the one at the top counted."""
    by_records, levels = 2 * max(1, n // shape.min_leaf) - 1, shape.depth - depth + 1
    return by_records if levels > 40 else min(by_records, 2**levels - 1)


@compiled
def _keep(trees: Any, v: Any, hist: Any) -> None:
    """Give a node statistics, if there is a slot left."""
    left = trees.free[-1]
    if left > 0:
        slot = trees.free[left - 1]
        trees.free[-1] = left - 1
        trees.node_NA[v, SLOT] = slot
        trees.hist[slot] = hist


@compiled
def _release(trees: Any, v: Any) -> None:
    if trees.node_NA[v, SLOT] >= 0:
        _free(trees, trees.node_NA[v, SLOT])
        trees.node_NA[v, SLOT] = -1


@compiled
def _free(trees: Any, slot: Any) -> None:
    trees.hist[slot] = 0
    trees.free[trees.free[-1]] = slot
    trees.free[-1] += 1


@compiled
def _clear_below(trees: Any, top: Any, depth: Any, shape: Any) -> None:
    """Make a leaf of a node, and empty all ids below that it owns."""
    for v in range(top + 1, top + room(trees.node_NA[top, CAP], depth, shape)):
        if trees.node_NA[v, SPLIT] != ABSENT:
            _release(trees, v)
            trees.node_NA[v] = 0
            trees.node_NA[v, SPLIT], trees.node_NA[v, SLOT] = ABSENT, -1
            trees.value_NV[v] = 0
    trees.node_NA[top, SPLIT], trees.node_NA[top, EDGE], trees.node_NA[top, RIGHT] = LEAF, 0, 0


@compiled
def _divide(trees: Any, v: Any, depth: Any, split: Any, n_left: Any, n: Any, shape: Any) -> Any:
    """Give a node two children, and them its first n places; the right child."""
    right, start = v + 1 + room(n_left, depth + 1, shape), trees.node_NA[v, START]
    trees.node_NA[v, SPLIT], trees.node_NA[v, EDGE], trees.node_NA[v, RIGHT] = split[0], split[1], right
    trees.node_NA[v + 1, START], trees.node_NA[v + 1, CAP] = start, n_left
    trees.node_NA[right, START], trees.node_NA[right, CAP] = start + n_left, n - n_left
    return right


@compiled
def _compact(places: Any, going: Any) -> Any:
    """Move the records that stay to the front; how many they are."""
    n = 0
    for k in range(len(places)):
        r = places[k]
        if r >= 0 and not going[r]:
            places[n] = r
            n += 1
    places[n:] = -1
    return n


@compiled
def _split_off(members: Any, codes: Any, feature: Any, edge: Any, seed: Any, shape: Any) -> Any:
    """Reorder records so that those for the left come first; how many they are."""
    i, j = 0, len(members) - 1
    if edge < 0:
        deal = _deal(seed, feature)
        while i <= j:
            if (~edge >> _group(deal, codes[members[i], feature], shape.groups)) & 1:
                i += 1
            else:
                members[i], members[j] = members[j], members[i]
                j -= 1
        return i
    while i <= j:
        if codes[members[i], feature] <= edge:
            i += 1
        else:
            members[i], members[j] = members[j], members[i]
            j -= 1
    return i


@compiled
def _push(stack: Any, seeds: Any, height: Any, child: Any, seed: Any, first: Any, after: Any) -> Any:
    """Put a child, as (node, depth, parent, is_right), on top of those that wait; how many wait now."""
    node, depth, parent, is_right = child
    stack[height, _NODE], stack[height, _DEPTH], stack[height, _PARENT] = node, depth, parent
    stack[height, _IS_RIGHT], stack[height, _FIRST], stack[height, _AFTER] = is_right, first, after
    seeds[height] = _child_seed(seed, is_right)
    return height + 1


@compiled
def _workspace(trees: Any, shape: Any) -> Any:
    """For one node: features tried, thresholds, histograms, left side; and for the nodes that wait."""
    values = trees.value_NV.shape[1]
    return (
        np.zeros((shape.tried, 6), np.int64),
        np.zeros((shape.tried, shape.thresholds), np.int64),
        np.zeros((shape.tried, shape.thresholds + 1, values), trees.hist.dtype),
        np.zeros(values, np.int64),
        np.zeros((shape.depth + 3, 6), np.int64),
        np.zeros(shape.depth + 3, np.uint64),
    )


# -- growing, unlearning, asking ----------------------------------------------------------------------------------------


@compiled
def _grow(trees: Any, start: Any, members: Any, boxes: Any, data: Any, shape: Any, work: Any, replay: Any) -> Any:
    """Grow the subtree of the node `start` = (node, depth, seed) from its records; nodes made, records looked at.

    `replay` holds the splits of the nodes in the order in which they are made; where it is empty they are searched for.
    """
    codes, target = data
    tried, edges, hist, left, stack, seeds = work
    top, top_depth, top_seed = start
    made, looked, height = 0, 0, 1
    stack[0, _NODE], stack[0, _DEPTH], stack[0, _PARENT], stack[0, _AFTER] = top, top_depth, -1, len(members)
    stack[0, _FIRST], seeds[0] = 0, top_seed
    while height:
        height -= 1
        v, depth, parent, seed = stack[height, _NODE], stack[height, _DEPTH], stack[height, _PARENT], seeds[height]
        first, after = stack[height, _FIRST], stack[height, _AFTER]
        if parent >= 0:
            _step(boxes, depth, parent, stack[height, _IS_RIGHT], trees)
        mine, value = members[first:after], trees.value_NV[v]
        value[:] = 0
        for r in mine:
            _add(value, target[r], 1, shape)
        trees.node_NA[v, SPLIT] = LEAF
        made += 1
        looked += len(mine)
        feature, edge = LEAF, 0
        if len(replay):
            if made <= len(replay) and replay[made - 1, 0] < codes.shape[1] and not _settled(value, depth, shape):
                feature, edge = replay[made - 1, 0], replay[made - 1, 1]
        elif not _settled(value, depth, shape):
            _draw(seed, boxes[depth], shape, tried)
            _count(seed, mine, tried, data, shape, edges, hist)
            row, s = _best(hist, tried, value, shape, left)
            if len(mine) >= shape.keep:
                _keep(trees, v, hist)
            if row >= 0:
                feature, edge = _split(seed, tried[row], s)
        if feature < 0:
            continue
        middle = first + _split_off(mine, codes, feature, edge, seed, shape)
        if min(middle - first, after - middle) < shape.min_leaf:
            continue  # only where `replay` is not of these records
        right = _divide(trees, v, depth, (feature, edge), middle - first, after - first, shape)
        height = _push(stack, seeds, height, (right, depth + 1, v, 1), seed, middle, after)
        height = _push(stack, seeds, height, (v + 1, depth + 1, v, 0), seed, first, middle)
    return made, looked


@compiled
def grow(trees: Any, data: Any, places: Any, box: Any, shape: Any, replay: Any, sizes: Any) -> None:
    """Grow all trees from the records at these places; or as `replay` says, `sizes[t]` nodes for tree t."""
    work = _workspace(trees, shape)
    boxes = np.zeros((shape.depth + 1, box.shape[0], 2), np.int64)
    boxes[0] = box
    per_tree, at = len(trees.node_NA) // len(trees.seed_T), 0
    for t in range(len(trees.seed_T)):
        trees.order_Tn[t] = places
        top, size = t * per_tree, sizes[t] if len(replay) else 0
        trees.node_NA[top, START], trees.node_NA[top, CAP] = 0, len(places)
        start = (top, 0, trees.seed_T[t])
        _grow(trees, start, trees.order_Tn[t], boxes, data, shape, work, replay[at : at + size])
        at += size


@compiled
def _regrow(
    trees: Any,
    start: Any,
    split: Any,
    members: Any,
    boxes: Any,
    data: Any,
    shape: Any,
    work: Any,
    nothing: Any,
) -> Any:
    """Divide the records of the node `start` = (node, depth, seed) by a new split and grow both sides; as `_grow`."""
    v, depth, seed = start
    n_left = _split_off(members, data[0], split[0], split[1], seed, shape)
    right = _divide(trees, v, depth, split, n_left, len(members), shape)
    made, looked = 0, 0
    for is_right in range(2):
        _step(boxes, depth + 1, v, is_right, trees)
        child = (right if is_right else v + 1, depth + 1, _U(_child_seed(seed, is_right)))
        part = members[n_left:] if is_right else members[:n_left]
        more = _grow(trees, child, part, boxes, data, shape, work, nothing)
        made += more[0]
        looked += more[1]
    return made, looked


@compiled
def _rescored(
    trees: Any, v: Any, seed: Any, box: Any, moving: Any, sign: Any, there: Any, data: Any, shape: Any, work: Any
) -> Any:
    """Feature and threshold of a node's best split once these records have come (sign 1) or left (-1), how many were looked
    at, and whether the node, whose split is still the one of before, sends all that it holds in both cases where it did.

    `there` are all its records; a node with statistics does not ask for them.
    """
    codes, target = data
    tried, edges, hist, left, _, _ = work
    _draw(seed, box, shape, tried)
    slot, value, looked = trees.node_NA[v, SLOT], trees.value_NV[v], len(moving)
    if slot >= 0:
        hist = trees.hist[slot]
        for r in moving:
            for i in range(shape.tried):
                cell = _cell(seed, tried[i], codes[r, tried[i, _FEATURE]], shape)
                _add(hist[i, cell], target[r], sign, shape)
    else:
        _count(seed, there, tried, data, shape, edges, hist)
        looked += len(there)
        if len(there) >= shape.keep:
            _keep(trees, v, hist)
    row, s = _best(hist, tried, value, shape, left)
    before, edge_before = trees.node_NA[v, SPLIT], trees.node_NA[v, EDGE]
    if row < 0:
        return LEAF, 0, looked, before == LEAF
    feature, edge = _split(seed, tried[row], s)
    alike = feature == before and edge == edge_before
    if feature == before and edge < 0 and not alike:
        came = moving if sign > 0 else moving[:0]
        alike = (edge ^ edge_before) & _filled(seed, feature, hist[row], came, data, shape) == 0
    return feature, edge, looked, alike


@compiled
def unlearn(trees: Any, data: Any, gone: Any, box: Any, shape: Any) -> Any:
    """Take records out of every tree: nodes visited, subtrees grown anew, nodes in these, records looked at."""
    codes, target = data
    going = np.zeros(len(target), np.bool_)
    going[gone] = True
    work, done, nothing = _workspace(trees, shape), np.zeros(4, np.int64), np.zeros((0, 2), np.int64)
    boxes = np.zeros((shape.depth + 1, box.shape[0], 2), np.int64)
    boxes[0] = box
    stack, seeds = np.zeros((shape.depth + 3, 6), np.int64), np.zeros(shape.depth + 3, np.uint64)
    per_tree, leaving = len(trees.node_NA) // len(trees.seed_T), gone.copy()
    for t in range(len(trees.seed_T)):
        stack[0, _NODE], stack[0, _DEPTH], stack[0, _PARENT], stack[0, _AFTER] = t * per_tree, 0, -1, len(gone)
        stack[0, _FIRST], seeds[0], height = 0, trees.seed_T[t], 1
        while height:
            height -= 1
            v, depth, parent, seed = stack[height, _NODE], stack[height, _DEPTH], stack[height, _PARENT], seeds[height]
            first, after = stack[height, _FIRST], stack[height, _AFTER]
            if parent >= 0:
                _step(boxes, depth, parent, stack[height, _IS_RIGHT], trees)
            mine, value = leaving[first:after], trees.value_NV[v]
            places = trees.order_Tn[t, trees.node_NA[v, START] : trees.node_NA[v, START] + trees.node_NA[v, CAP]]
            for r in mine:
                _add(value, target[r], -1, shape)
            done[0] += 1
            feature, edge, alike = LEAF, 0, trees.node_NA[v, SPLIT] == LEAF
            if _settled(value, depth, shape):
                _release(trees, v)
            else:
                there = places[:0]
                if trees.node_NA[v, SLOT] < 0:
                    there = places.copy()  # the places themselves are parted among the children
                    there = there[: _compact(there, going)]
                feature, edge, looked, alike = _rescored(
                    trees, v, seed, boxes[depth], mine, -1, there, data, shape, work
                )
                done[3] += looked
            if not alike:
                done[1] += 1
                n = _compact(places, going)
                _clear_below(trees, v, depth, shape)
                if feature == LEAF:
                    continue
                made, looked = _regrow(
                    trees, (v, depth, seed), (feature, edge), places[:n], boxes, data, shape, work, nothing
                )
                done[2] += made
                done[3] += looked
            elif feature == LEAF:
                _compact(places, going)
            else:
                # As they were sent when they came; groups that they alone filled may be another side's by now.
                middle = first + _split_off(mine, codes, feature, trees.node_NA[v, EDGE], seed, shape)
                trees.node_NA[v, EDGE], right = edge, trees.node_NA[v, RIGHT]
                if middle < after:
                    height = _push(stack, seeds, height, (right, depth + 1, v, 1), seed, middle, after)
                if first < middle:
                    height = _push(stack, seeds, height, (v + 1, depth + 1, v, 0), seed, first, middle)
    return done


@compiled
def _copied(trees: Any, v: Any, old: Any, u: Any, n_ids: Any, moved: Any) -> None:
    """Take over a subtree whose ids keep their distances; its places in the order are `moved` on."""
    for k in range(n_ids):
        if old.node_NA[u + k, SPLIT] == ABSENT:
            continue
        trees.node_NA[v + k] = old.node_NA[u + k]
        trees.value_NV[v + k] = old.value_NV[u + k]
        trees.node_NA[v + k, START] += moved
        if old.node_NA[u + k, SPLIT] >= 0:
            trees.node_NA[v + k, RIGHT] += v - u


@compiled
def _taken_over(order: Any, old_order: Any, place: Any) -> Any:
    """Write the records held among these places of the old order, under their new positions; how many they are."""
    n = 0
    for r in old_order:
        if r >= 0:
            order[n] = place[r]
            n += 1
    return n


@compiled
def extend(trees: Any, old: Any, place: Any, data: Any, new: Any, box: Any, shape: Any) -> Any:
    """Make of empty `trees` the `old` ones with further records, at positions `new`; what was done, as by `unlearn`.

    `place` holds the positions now of those held before. Statistics keep their slots; ids and places are dealt out anew,
    since every node owns as many as it needs. A subtree that gains nothing is copied.
    """
    codes, target = data
    work, done, nothing = _workspace(trees, shape), np.zeros(4, np.int64), np.zeros((0, 2), np.int64)
    boxes = np.zeros((shape.depth + 1, box.shape[0], 2), np.int64)
    boxes[0] = box
    stack, seeds = np.zeros((shape.depth + 3, 6), np.int64), np.zeros(shape.depth + 3, np.uint64)
    before = np.zeros(shape.depth + 3, np.int64)  # the old nodes of those that wait
    per_tree, per_old, coming = (
        len(trees.node_NA) // len(trees.seed_T),
        len(old.node_NA) // len(trees.seed_T),
        new.copy(),
    )
    trees.hist[: len(old.hist)] = old.hist
    for t in range(len(trees.seed_T)):
        stack[0, _NODE], stack[0, _DEPTH], stack[0, _PARENT], stack[0, _AFTER] = t * per_tree, 0, -1, len(new)
        stack[0, _FIRST], seeds[0], before[0], height = 0, trees.seed_T[t], t * per_old, 1
        trees.node_NA[t * per_tree, START], trees.node_NA[t * per_tree, CAP] = 0, trees.order_Tn.shape[1]
        while height:
            height -= 1
            v, depth, parent, seed = stack[height, _NODE], stack[height, _DEPTH], stack[height, _PARENT], seeds[height]
            first, after, u = stack[height, _FIRST], stack[height, _AFTER], before[height]
            if parent >= 0:
                _step(boxes, depth, parent, stack[height, _IS_RIGHT], trees)
            mine, value, start = coming[first:after], trees.value_NV[v], trees.node_NA[v, START]
            n, cap = np.int64(trees.node_NA[v, CAP]), np.int64(old.node_NA[u, CAP])
            held = old.order_Tn[t, old.node_NA[u, START] : old.node_NA[u, START] + cap]
            places = trees.order_Tn[t, start : start + n]
            if first == after and cap == n:
                _copied(trees, v, old, u, room(n, depth, shape), start - old.node_NA[u, START])
                _taken_over(places, held, place)
                continue
            value[:] = old.value_NV[u]
            for r in mine:
                _add(value, target[r], 1, shape)
            feature, edge, alike = np.int64(old.node_NA[u, SPLIT]), np.int64(old.node_NA[u, EDGE]), True
            trees.node_NA[v, SPLIT], trees.node_NA[v, EDGE], trees.node_NA[v, SLOT] = (
                feature,
                edge,
                old.node_NA[u, SLOT],
            )
            if first < after:
                done[0] += 1
                there = places[:0]
                if not _settled(value, depth, shape):
                    if trees.node_NA[v, SLOT] < 0:
                        n_held = _taken_over(places, held, place)
                        places[n_held:] = mine
                        there = places
                    feature, edge, looked, alike = _rescored(
                        trees, v, seed, boxes[depth], mine, 1, there, data, shape, work
                    )
                    done[3] += looked
            if not alike:
                done[1] += 1
                for below in range(u + 1, u + room(cap, depth, shape)):
                    if old.node_NA[below, SLOT] >= 0:
                        _free(trees, old.node_NA[below, SLOT])
                n_held = _taken_over(places, held, place)
                places[n_held:] = mine
                trees.node_NA[v, SPLIT], trees.node_NA[v, EDGE] = LEAF, 0
                if feature == LEAF:
                    continue
                made, looked = _regrow(
                    trees, (v, depth, seed), (feature, edge), places, boxes, data, shape, work, nothing
                )
                done[2] += made
                done[3] += looked
            elif feature == LEAF:
                n_held = _taken_over(places, held, place)
                places[n_held:] = mine
            else:
                middle = first + _split_off(mine, codes, feature, edge, seed, shape)
                n_left = _size(old.value_NV[u + 1], shape) + middle - first
                right = _divide(trees, v, depth, (feature, edge), n_left, n, shape)
                height = _push(stack, seeds, height, (right, depth + 1, v, 1), seed, middle, after)
                before[height - 1] = old.node_NA[u, RIGHT]
                height = _push(stack, seeds, height, (v + 1, depth + 1, v, 0), seed, first, middle)
                before[height - 1] = u + 1
    return done


@compiled
def ask(trees: Any, codes: Any, shape: Any) -> Any:
    """Mean over the trees of the leaf of each row: its mean target as a share of the highest, or its share of classes."""
    n_trees, values = len(trees.seed_T), trees.value_NV.shape[1]
    per_tree = len(trees.node_NA) // n_trees
    out = np.zeros((len(codes), 1 if shape.highest else values))
    for r in range(len(codes)):
        for t in range(n_trees):
            v: Any = t * per_tree
            seed = trees.seed_T[t]
            while trees.node_NA[v, SPLIT] >= 0:
                feature, edge = trees.node_NA[v, SPLIT], trees.node_NA[v, EDGE]
                if edge >= 0:
                    left = codes[r, feature] <= edge
                else:
                    left = (~edge >> _group(_deal(seed, feature), codes[r, feature], shape.groups)) & 1 == 1
                if shape.groups:
                    seed = _child_seed(seed, not left)
                v = v + 1 if left else np.int64(trees.node_NA[v, RIGHT])
            value = trees.value_NV[v]
            if shape.highest:
                out[r, 0] += value[1] / (value[0] * shape.highest)
            else:
                for c in range(values):
                    out[r, c] += value[c] / _size(value, shape)
    return out / n_trees
