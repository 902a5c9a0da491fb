#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the expected values of test_box_fusion.c. Needs ensemble-boxes, which is by the authors of
weighted box fusion, and numpy."""
import numpy as np
from ensemble_boxes import weighted_boxes_fusion

CASES = [  # conf_type, members, boxes of each, classes, weights, iou_thr, skip_box_thr
    ('avg', 1, 40, 3, (1,), 0.55, 0.0),
    ('avg', 2, 40, 2, (1, 1), 0.55, 0.0),
    ('avg', 3, 60, 2, (2, 1, 0.5), 0.5, 0.1),
    ('max', 3, 60, 2, (2, 1, 0.5), 0.4, 0.05),
    ('box_and_model_avg', 3, 60, 2, (2, 1, 0.5), 0.5, 0.0),
    ('absent_model_aware_avg', 3, 60, 2, (2, 1, 0.5), 0.5, 0.0),
    ('avg', 5, 100, 1, (1, 2, 3, 4, 5), 0.3, 0.0),
]


class Noise:
    """The generator of the test: the high bits of a 32-bit congruential sequence."""

    def __init__(self):
        self.state = 1

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xffffffff
        return (self.state >> 8) % n


def member(noise, n, n_classes):
    """Boxes around 12 places, in 1/1024 of the picture, so that floats hold them exactly."""
    boxes, scores, labels = [], [], []
    for _ in range(n):
        place = noise.below(12)
        x, y = 60 * place + noise.below(40), 50 * place + noise.below(40)
        w, h = 150 + noise.below(60), 150 + noise.below(60)
        boxes.append([x / 1024, y / 1024, (x + w) / 1024, (y + h) / 1024])
        scores.append((1 + noise.below(1 << 20)) / (1 << 20))
        labels.append(noise.below(n_classes))
    return boxes, scores, labels


for conf, n_members, n_boxes, n_classes, weights, iou, skip in CASES:
    noise = Noise()
    members = [member(noise, n_boxes, n_classes) for _ in range(n_members)]
    boxes, scores, labels = weighted_boxes_fusion(
        *zip(*members), weights=list(weights), iou_thr=iou, skip_box_thr=skip, conf_type=conf)
    total = float((scores * (boxes @ np.array([1, 2, 3, 4]) + labels)).sum())
    best = ', '.join(f'{v:.7g}' for v in [*boxes[0], scores[0], labels[0]])
    w = ', '.join(f'{v:g}' for v in weights)
    print(f'    {{"{conf}", {n_members}, {n_boxes}, {n_classes}, {{{w}}}, {iou}f, {skip}f, '
          f'{len(boxes)}, {total:.8g}, {{{best}}}}},')
