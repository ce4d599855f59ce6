//! `vpt prune`: fewer prompts, chosen by attention, and training that goes on from them.

use crate::sandbox::Sandbox;

#[test]
fn a_task_goes_on_with_fewer_prompts() {
    let sandbox = Sandbox::new();
    sandbox.draw("pets", &["ant", "bee"], [4, 2, 4]);
    let model = sandbox.model();
    let train = format!("train --data-dir pets --epochs 1 --model {model}");
    sandbox.run(&format!("{train} --num-tokens 4 --experiment four"), 0);
    let pruned = sandbox
        .run(
            "prune runs/train/four --keep 2 --output two.safetensors --json",
            0,
        )
        .json();
    assert_eq!((&pruned["num_tokens"], &pruned["of"]), (&2.into(), &4.into()));
    assert_eq!(pruned["images"], 8);
    let share = pruned["attention_kept"].as_f64().unwrap();
    assert!(
        share > 0.5 && share < 1.0,
        "half of the prompts, those with more attention: {share}"
    );

    let results = sandbox.run("eval two.safetensors --json", 0).json();
    assert!(
        results["tuned_params"].as_u64()
            < sandbox.json("runs/train/four/results.json")["tuned_params"].as_u64()
    );
    sandbox.run(
        &format!("{train} --num-tokens 2 --init-from two.safetensors --experiment two"),
        0,
    );

    let all = sandbox.run("prune runs/train/four --keep 4 --output x.safetensors", 2);
    assert!(
        all.stderr.contains("keeps all of the 4 prompts"),
        "{}",
        all.stderr
    );
    sandbox.run(&format!("{train} --method linear --experiment probe"), 0);
    let linear = sandbox.run("prune runs/train/probe --keep 1 --output x.safetensors", 2);
    assert!(linear.stderr.contains("has no prompts"), "{}", linear.stderr);
    assert!(!sandbox.path("x.safetensors").exists());
}
