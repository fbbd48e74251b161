output "deployer_policy_json" {
  description = "IAM policy for whoever applies, plans and destroys the deployment. Attach it to their role."
  value       = data.aws_iam_policy_document.deployer.json
}
