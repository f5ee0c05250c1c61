-- 0 before
-- 1 after
-- 2 killed 08 journal.commit
-- 3 killed 09 vif_drivers.unbind
-- 4 killed 10 journal.commit
-- 5 killed 11 vif_drivers.bind
-- 6 killed 12 journal.commit
-- 7 killed 14 links.restore
-- 8 killed 15 vif_store.set_plumbed
-- 9 incomplete 09 vif_drivers.unbind
-- 10 incomplete 11 vif_drivers.bind
-- 11 incomplete 14 links.restore
-- 12 incomplete 15 vif_store.set_plumbed
-- 13 lost 09 vif_drivers.unbind
-- 14 lost 11 vif_drivers.bind
-- 15 lost 14 links.restore
-- 16 lost 15 vif_store.set_plumbed
-- 17 undoing 02 vif_drivers.load
-- 18 undoing 06 links.restore
INSERT INTO "compensation_totals" VALUES('unbind_vif','failed',1); -- 9-12
INSERT INTO "duration_totals" VALUES('rebind','plug',0.001,1,0.0); -- 1
INSERT INTO "duration_totals" VALUES('rebind','unplug',0.001,1,0.0); -- 1
INSERT INTO "operation_totals" VALUES('rebind','bridge','done','',1); -- 1
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','00000000-0001-4000-8000-000000000000','web',1,'live','bridge','{"kind":"vif","reload":false,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}}]}','done','done','','','00000000000440008000000000000000',1700000000.0,1700000000.0); -- 1
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','00000000-0001-4000-8000-000000000000','web',1,'live','bridge','{"kind":"vif","reload":false,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}}]}','running','','','','00000000000440008000000000000000',1700000000.0,NULL); -- 2-8
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','00000000-0001-4000-8000-000000000000','web',1,'live','bridge','{"kind":"vif","reload":false,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}}]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (unbind_vif: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000440008000000000000000',1700000000.0,NULL); -- 9-12
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','00000000-0001-4000-8000-000000000000','web',1,'live','bridge','{"kind":"vif","reload":false,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}}]}','incomplete','incomplete','connection-lost','the connection broke, for the test','00000000000440008000000000000000',1700000000.0,NULL); -- 13-16
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','00000000-0001-4000-8000-000000000000','web',1,'live','bridge','{"kind":"vif","reload":false,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}}]}','running','','','','00000000000540008000000000000000',1700000000.0,NULL); -- 17-18
INSERT INTO "steps" VALUES('000000000003',0,'unbind_vif','ua-web1','unplug','live','done',1700000000.0,0.0,''); -- 1 4-8 14-18
INSERT INTO "steps" VALUES('000000000003',1,'bind_vif','ua-web1','plug','live','done',1700000000.0,0.0,''); -- 1 6-8 11-12 15-16 18
INSERT INTO "steps" VALUES('000000000003',2,'join_bridge','ua-web1','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000003',3,'verify','ua-web1','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000003',0,'unbind_vif','ua-web1','unplug','live','started',1700000000.0,NULL,''); -- 2-3
INSERT INTO "steps" VALUES('000000000003',1,'bind_vif','ua-web1','plug','live','planned',NULL,NULL,''); -- 2-3 9 13
INSERT INTO "steps" VALUES('000000000003',2,'join_bridge','ua-web1','plug','live','planned',NULL,NULL,''); -- 2-5 9-10 13-14
INSERT INTO "steps" VALUES('000000000003',3,'verify','ua-web1','plug','live','planned',NULL,NULL,''); -- 2-18
INSERT INTO "steps" VALUES('000000000003',1,'bind_vif','ua-web1','plug','live','started',1700000000.0,NULL,''); -- 4-5 17
INSERT INTO "steps" VALUES('000000000003',2,'join_bridge','ua-web1','plug','live','started',1700000000.0,NULL,''); -- 6-8 17-18
INSERT INTO "steps" VALUES('000000000003',0,'unbind_vif','ua-web1','unplug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 9-12
INSERT INTO "steps" VALUES('000000000003',1,'bind_vif','ua-web1','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 10
INSERT INTO "steps" VALUES('000000000003',2,'join_bridge','ua-web1','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 11-12
INSERT INTO "steps" VALUES('000000000003',0,'unbind_vif','ua-web1','unplug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 13
INSERT INTO "steps" VALUES('000000000003',1,'bind_vif','ua-web1','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 14
INSERT INTO "steps" VALUES('000000000003',2,'join_bridge','ua-web1','plug','live','failed',1700000000.0,0.0,'the connection broke, for the test'); -- 15-16
