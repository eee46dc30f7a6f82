use super::*;

fn lens([fx, fy, cx, cy]: [f64; 4], distortion: &[f64]) -> Lens {
    let mut all = [0.0; 8];
    all[..distortion.len()].copy_from_slice(distortion);
    Lens { fx, fy, cx, cy, distortion: all }
}

/// As of a ZED 2, with eyes that differ more than those of a real one.
pub fn zed() -> Pair {
    Pair {
        left: lens([700.819, 700.819, 665.465, 371.953], &[-0.174318, 0.0261121, 0.0003, -0.0002, 0.0]),
        right: lens([699.5, 699.5, 650.2, 365.1], &[-0.172, 0.0255, -0.0001, 0.0004, 0.001]),
        rotation: [0.00497864, 0.00958521, -0.00185401],
        translation: [-119.9, 0.3, -0.5],
    }
}

/// As of a ZED X Mini, with the rational model.
fn zed_x() -> Pair {
    let left = [2.1, 1.2, 0.0002, 5e-5, 0.06, 2.2, 1.35, 0.15];
    let right = [2.05, 1.18, 0.0002, -0.00019, 0.06, 2.15, 1.33, 0.15];
    Pair {
        left: lens([736.862, 736.696, 999.971, 570.414], &left),
        right: lens([737.375, 736.982, 970.855, 630.481], &right),
        rotation: [0.00124871, 0.0107261, 0.00138949],
        translation: [-49.8789, 0.0509066, 0.167848],
    }
}

fn close(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() < within, "{found} and not {expected}");
}

/// The numbers are those of Python's OpenCV 5.0.0 (and 4.11.0): `stereoRectify(K1, D1, K2, D2, size,
/// Rodrigues(rotation), T, flags=CALIB_ZERO_DISPARITY, alpha=0)`, and `initUndistortRectifyMap(K1, D1, R1, P1, size,
/// CV_32FC1)` at five pixels. It inverts a lens by five steps, we to the end: focal length and principal point are
/// those of the same calculation with `undistortPoints(…, criteria=(3, 1000, 1e-12))`, which are this near to its own.
#[test]
fn views_are_those_that_opencv_finds() {
    let left = [
        [0.9999051085774863, -0.0006034851545678902, 0.013762617712981824],
        [0.0006376346310234708, 0.9999967287719214, -0.002477068334452026],
        [-0.013761077818353631, 0.0024856088035814464, 0.999902222462853],
    ];
    let sources = [
        ((0, 0), (96.87629699707031, 56.665321350097656)),
        ((1279, 0), (1186.080322265625, 55.04926681518555)),
        ((640, 360), (636.5888671875, 360.2471008300781)),
        ((10, 719), (99.44189453125, 671.4990234375)),
        ((1279, 719), (1190.452880859375, 670.5702514648438)),
    ];
    check(
        &zed(),
        (1280, 720),
        left,
        (683.5788861164139, 658.7496337890625, 373.1277961730957),
        (683.6483690108744, 658.8281689714661, 373.1658937702198),
        sources,
    );
    let left = [
        [0.9999699939821863, -0.0024075799969458713, 0.007363062801894159],
        [0.002412147958874376, 0.9999969037566299, -0.0006115712372207976],
        [-0.007361567597382334, 0.0006293136833120078, 0.9999727052708974],
    ];
    let sources = [
        ((0, 0), (142.0098114013672, 58.42595291137695)),
        ((1919, 0), (1784.0635986328125, 53.27250671386719)),
        ((960, 600), (957.5765380859375, 568.5736694335938)),
        ((10, 1199), (149.6525115966797, 1085.123291015625)),
        ((1919, 1199), (1788.1776123046875, 1081.2906494140625)),
    ];
    check(
        &zed_x(),
        (1920, 1200),
        left,
        (736.6331815829076, 996.9515533447266, 602.3930969238281),
        (736.6696705705652, 997.1321100200018, 602.4231580816077),
        sources,
    );
}

fn check(
    pair: &Pair,
    size: (u32, u32),
    left: Matrix,
    (focal, cx, cy): (f64, f64, f64),
    to_the_end: (f64, f64, f64),
    sources: [((u32, u32), (f64, f64)); 5],
) {
    let [view, _] = pair.views(size).unwrap();
    for (found, expected) in view.rotation.iter().flatten().zip(left.iter().flatten()) {
        close(*found, *expected, 1e-9);
    }
    for (found, exact, near) in
        [(view.focal, to_the_end.0, focal), (view.cx, to_the_end.1, cx), (view.cy, to_the_end.2, cy)]
    {
        close(found, exact, 1e-4);
        close(found, near, 0.2);
    }
    let exactly = View { focal, cx, cy, ..view };
    for ((x, y), expected) in sources {
        let found = exactly.source((f64::from(x), f64::from(y))).unwrap();
        close(found.0, expected.0, 1e-3);
        close(found.1, expected.1, 1e-3);
    }
}

/// What decides over the signs: points in space, seen by both eyes through their lenses.
#[test]
fn a_point_is_in_the_same_row_of_both_views_and_farther_left_in_the_right_one() {
    for (pair, size) in [(zed(), (1280, 720)), (zed_x(), (1920, 1200))] {
        let [left, right] = pair.views(size).unwrap();
        let between = rotation(pair.rotation);
        let baseline = pair.translation.iter().map(|it| it * it).sum::<f64>().sqrt();
        let mut seen = 0;
        for depth in [400.0, 1000.0, 5000.0] {
            for at in 0..400 {
                let (x, y) = (f64::from(at % 20) / 10.0 - 0.95, f64::from(at / 20) / 16.0 - 0.6);
                let point = [x * depth, y * depth, depth];
                let moved = apply(&between, point);
                let other: Vector = std::array::from_fn(|at| moved[at] + pair.translation[at]);
                let eyes = [(&left, point), (&right, other)];
                let [one, two] =
                    eyes.map(|(view, [x, y, z])| view.position(view.lens.project((x / z, y / z))).unwrap());
                if one.0 < 0.0 || one.1 < 0.0 || one.0 > f64::from(size.0) || one.1 > f64::from(size.1) {
                    continue;
                }
                seen += 1;
                close(one.1, two.1, 0.01);
                let distance = apply(&left.rotation, point)[2];
                close(one.0 - two.0, left.focal * baseline / distance, 0.01);
            }
        }
        assert!(seen > 600, "{seen}");
    }
}

#[test]
fn all_of_a_view_was_seen() {
    for (pair, size) in [(zed(), (1280, 720)), (zed_x(), (1920, 1200))] {
        for view in pair.views(size).unwrap() {
            for x in (0..size.0).step_by(7) {
                for y in [0, size.1 / 2, size.1 - 1] {
                    let (u, v) = view.source((f64::from(x), f64::from(y))).unwrap();
                    assert!(u > -1.0 && u < f64::from(size.0) && v > -1.0 && v < f64::from(size.1), "{u} {v}");
                }
            }
        }
    }
}

#[test]
fn eyes_that_are_none_have_no_views() {
    let size = (1280, 720);
    let zed = zed();
    for translation in [[119.9, 0.0, 0.0], [-1.0, 119.9, 0.0], [0.0; 3], [f64::NAN; 3]] {
        assert_eq!(Pair { translation, ..zed }.views(size), Err(NoViews::NotBeside));
    }
    for k1 in [-0.7, -5.0, 1e9, f64::INFINITY] {
        let mut pair = zed;
        pair.right.distortion[0] = k1;
        assert_eq!(pair.views(size), Err(NoViews::Folded), "{k1}");
    }
    for lens in [
        Lens { fx: 1e-9, ..zed.left },
        Lens { fy: 1e-9, ..zed.left },
        Lens { cx: 1e9, ..zed.left },
        Lens { cy: -1e9, ..zed.left },
    ] {
        assert_eq!(Pair { left: lens, ..zed }.views(size), Err(NoViews::Folded), "{lens:?}");
    }
}
