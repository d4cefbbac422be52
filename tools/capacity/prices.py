"""What AWS asks for, as published; US dollars, us-east-1, Linux on x86.

From the price pages of each service as of November 2025: aws.amazon.com/fargate/pricing,
/elasticache/pricing, /api-gateway/pricing, /lambda/pricing, /privatelink/pricing, /vpc/pricing,
/cloudwatch/pricing, /secrets-manager/pricing, /ecr/pricing. Spot prices move; this one is the usual seventy
per cent off. Allowances that every account always has are counted apart, because another program of the
account may use them.
"""

HOURS_PER_MONTH = 730.0

FARGATE_VCPU_HOUR = 0.04048
FARGATE_GB_HOUR = 0.004445
SPOT_SHARE = 0.30

API_GATEWAY_REQUEST = 3.50 / 1e6
LAMBDA_REQUEST = 0.20 / 1e6
LAMBDA_GB_SECOND = 0.0000166667
# Always free: a million requests and 400,000 GB-seconds a month.
LAMBDA_FREE_REQUESTS = 1e6
LAMBDA_FREE_GB_SECONDS = 400_000.0

# Valkey: storage by the hour, at least 100 MB of it, and units of work (1 KB read or written, or longer Lua).
SERVERLESS_GB_HOUR = 0.084
SERVERLESS_LEAST_GB = 0.1
SERVERLESS_UNIT = 0.0023 / 1e6
CACHE_NODE_HOUR = {"cache.t4g.micro": 0.0128, "cache.t4g.small": 0.0256, "cache.m7g.large": 0.1264}

# Traffic within a region between ECR and tasks is free, and so is S3 through a gateway endpoint, where the
# layers of images come from (/ecr/pricing; docs.aws.amazon.com/AmazonECR: vpc-endpoints). Interface endpoints
# and NAT gateways ask for each GB; a NAT gateway has a public address, too.
ENDPOINT_HOUR, ENDPOINT_GB = 0.01, 0.01
NAT_HOUR, NAT_GB = 0.045, 0.045
PUBLIC_ADDRESS_HOUR = 0.005

LOG_GB = 0.50
# Ten metrics, ten metrics in alarms and three dashboards are always free.
METRIC_MONTH, ALARM_MONTH = 0.30, 0.10
FREE_METRICS, FREE_ALARMS = 10, 10
SECRET_MONTH = 0.40
IMAGE_GB_MONTH = 0.10
